"""The access token of the bounce mailbox: fetched before a poll, and once more when the server refuses it."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from relay.config.oauth_checks import IMAP_ACCOUNT
from relay.inbound.imap_errors import LoginRefusedError, MailboxError
from relay.oauth.tokens import AccessToken, AccessTokens, NoToken

T = TypeVar("T")


async def with_token(tokens: AccessTokens, read: Callable[[str], Awaitable[T]]) -> T:
    """Read with an access token; with a new one if the login is refused. Raises MailboxError if there is none."""
    token = _usable(await tokens.token(IMAP_ACCOUNT))
    try:
        return await read(token.value)
    except LoginRefusedError:
        fresh = _usable(await tokens.renewed(IMAP_ACCOUNT, token))
        return await read(fresh.value)


def _usable(token: AccessToken | NoToken) -> AccessToken:
    if isinstance(token, NoToken):
        raise MailboxError(str(token))
    return token
