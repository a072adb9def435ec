"""Logs in at a provider as delivery does, and sends nothing: does it take the account?"""

from dataclasses import dataclass, replace
from typing import Literal

from relay.config.settings import Provider, Settings
from relay.delivery.connect import ConnectFailure, TlsContexts, connect
from relay.delivery.mx import Endpoint
from relay.delivery.next_hop import NextHopResolver, Upstream
from relay.delivery.session import Session, Timeouts
from relay.delivery.token_login import connect_with_token
from relay.mail.public_address import is_never_a_server
from relay.oauth.tokens import AccessTokens
from relay.queue.outcome import Deferred, Phase, Refused
from relay.resolver import Resolver

SECONDS = 10.0
"""Seconds for the connection, and for each reply."""

MAX_ADDRESSES = 3
"""Addresses of a provider that are asked, at most."""


@dataclass(frozen=True, slots=True)
class LoginAnswer:
    """What came of a login. `phase` is the step that failed, "" if none did; `hint` is what to change."""

    provider: str
    server: str
    result: Literal["login", "answer", "refused", "unknown"]
    """It takes the login, it answers and there is no login, it does not work, or it was not asked."""
    text: str
    phase: Phase = ""
    hint: str = ""

    @property
    def works(self) -> bool:
        """Whether mail can be handed over."""
        return self.result in ("login", "answer")


async def check_login(
    provider: Provider, settings: Settings, resolver: Resolver, tokens: AccessTokens | None = None
) -> LoginAnswer:
    """Open a session with a provider, which need not be in the settings, and end it.

    `tokens` are those of the accounts in force; without them a provider with OAuth2 is not asked.
    """
    server = f"{provider.host}:{provider.port}"
    if provider.oauth is not None and tokens is None:
        text = "it logs in by OAuth2, and its tokens are those of the running relay"
        return LoginAnswer(provider.name, server, "unknown", text)
    only = settings.replaced({"providers": (provider,)})
    hops = NextHopResolver(only, resolver, TlsContexts())
    found = await hops.endpoints(Upstream(provider.name))
    if isinstance(found, Deferred | Refused):
        return LoginAnswer(provider.name, server, "refused", found.reply.text, "connect")
    failed: ConnectFailure | None = None
    for endpoint in found[:MAX_ADDRESSES]:
        if is_never_a_server(endpoint.address):
            text = f"{endpoint.address} is a link-local or multicast address, where no mail server is"
            return LoginAnswer(provider.name, server, "refused", text, "connect")
        opened = await _open(provider, hops, endpoint, tokens)
        if isinstance(opened, Session):
            await opened.quit()
            result: Literal["login", "answer"] = "login" if provider.username else "answer"
            return LoginAnswer(provider.name, server, result, _secured(opened))
        failed = opened
        if opened.locked_out or opened.without_token:
            break  # It is about the account: the other addresses would refuse it too.
    assert failed is not None
    return _refused(provider, failed)


async def _open(
    provider: Provider, hops: NextHopResolver, endpoint: Endpoint, tokens: AccessTokens | None
) -> Session | ConnectFailure:
    wanted = hops.connect_options(Upstream(provider.name), endpoint)
    options = replace(wanted, connect_timeout=SECONDS, timeouts=Timeouts(SECONDS, SECONDS, SECONDS))
    if provider.oauth is not None and tokens is not None:
        return await connect_with_token(endpoint, options, tokens, provider.name, provider.username)
    return await connect(endpoint, options)


def _secured(session: Session) -> str:
    return "over TLS" if session.is_encrypted else "without TLS"


def _refused(provider: Provider, failure: ConnectFailure) -> LoginAnswer:
    text, hint = failure.reply.text, ""
    if text.startswith("unexpected reply to the greeting"):
        # The octets are not shown: they may be those of another service in the network of this machine.
        text, hint = "what answers is no SMTP server", "Check the port."
    elif failure.phase == "auth" and failure.locked_out:
        hint = "Check user name and password: some services want a password made for applications."
    elif provider.tls == "implicit" and ("WRONG_VERSION" in text or "record layer" in text):
        hint = "The port begins without TLS: choose STARTTLS, or the port for TLS, which often is 465."
    elif provider.tls != "implicit" and failure.phase == "connect" and provider.port == 465:
        hint = "Port 465 expects TLS from the start: choose it, or port 587 with STARTTLS."
    elif "does not offer STARTTLS" in text:
        hint = "Choose TLS from the start if the port expects it, which often is 465."
    elif failure.refused_connection:
        hint = "Nothing listens there: check server name and port."
    return LoginAnswer(provider.name, f"{provider.host}:{provider.port}", "refused", text, failure.phase, hint)
