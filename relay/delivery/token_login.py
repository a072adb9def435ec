"""Opens a session with an access token: the login of a provider with OAuth2."""

from dataclasses import replace

from relay.delivery.connect import Bearer, ConnectFailure, ConnectOptions, connect
from relay.delivery.mx import Endpoint
from relay.delivery.session import Session
from relay.mail.reply import Reply
from relay.oauth.tokens import AccessToken, AccessTokens, NoToken

_DISABLED = "5.7.139"
"""Status of Microsoft for a mailbox or tenant that may not log in by SMTP at all; another token changes nothing."""


async def connect_with_token(
    endpoint: Endpoint, options: ConnectOptions, tokens: AccessTokens, provider: str, username: str
) -> Session | ConnectFailure:
    """Open a session. If the server refuses the token, try once more with a new one."""
    token = await tokens.token(provider)
    if isinstance(token, NoToken):
        return _without_token(endpoint, token)
    opened = await _connect(endpoint, options, username, token)
    if not _is_refused(opened):
        return opened

    fresh = await tokens.renewed(provider, token)
    if isinstance(fresh, NoToken):
        return _without_token(endpoint, fresh)
    return await _connect(endpoint, options, username, fresh)


async def _connect(
    endpoint: Endpoint, options: ConnectOptions, username: str, token: AccessToken
) -> Session | ConnectFailure:
    opened = await connect(endpoint, replace(options, credentials=Bearer(username, token.value)))
    if isinstance(opened, Session):
        opened.login_ends_at = token.ends_at
    return opened


def _is_refused(opened: Session | ConnectFailure) -> bool:
    """Whether the server refused the token, and may accept another one."""
    if isinstance(opened, Session) or opened.phase != "auth" or not opened.locked_out:
        return False
    return _DISABLED not in opened.reply.text or "disabled" not in opened.reply.text


def _without_token(endpoint: Endpoint, failure: NoToken) -> ConnectFailure:
    """Return the failure of a login without a token. A final one is about our account, as a wrong password."""
    code, status = (454, "4.7.0") if failure.is_final else (451, "4.4.1")
    return ConnectFailure(
        Reply(code, status, str(failure)), endpoint, locked_out=failure.is_final, phase="auth", without_token=True
    )
