"""Connect, EHLO, STARTTLS, AUTH."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import cast

import aiosmtplib

from relay.delivery.commands import Capabilities
from relay.delivery.mx import Endpoint
from relay.delivery.reply_parser import printable
from relay.delivery.session import Session, Timeouts
from relay.delivery.stream import ClientStream
from relay.mail.reply import Reply, parse_reply
from relay.queue.outcome import Phase


class Security(Enum):
    """When a connection is encrypted."""

    NONE = "none"
    OPPORTUNISTIC = "opportunistic"
    REQUIRED = "required"
    """STARTTLS or nothing."""
    IMPLICIT = "implicit"
    """TLS from the first octet (RFC 8314)."""


class TlsContexts:
    """The TLS contexts, made when they are first needed: loading the system's store takes a while."""

    def __init__(self, verifying: Callable[[], ssl.SSLContext] = ssl.create_default_context) -> None:
        self._make_verifying = verifying

    @cached_property
    def verified(self) -> ssl.SSLContext:
        """Encrypt, and make sure that it is the host we mean."""
        context = self._make_verifying()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context

    @cached_property
    def unverified(self) -> ssl.SSLContext:
        """Encrypt, whoever it is."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a provider knows us by."""

    username: str
    password: str


_PHASES: Mapping[str, Phase] = {
    "the greeting": "connect",
    "EHLO": "ehlo",
    "HELO": "ehlo",
    "STARTTLS": "starttls",
    "AUTH": "auth",
}


@dataclass(frozen=True, slots=True)
class ConnectOptions:
    """How a lane's servers are talked to. `context` None: never encrypted."""

    helo: str
    security: Security
    context: ssl.SSLContext | None
    patience: Timeouts
    connect_timeout: float
    credentials: Credentials | None = None


@dataclass(frozen=True, slots=True)
class ConnectFailure:
    """No session came about; `by_tls`: it failed at TLS, so that clear text may do better.

    `locked_out`: the server answers, and refuses us for good.
    """

    reply: Reply
    hop: Endpoint
    by_tls: bool = False
    locked_out: bool = False
    phase: Phase = "connect"


async def connect(hop: Endpoint, manner: ConnectOptions) -> Session | ConnectFailure:
    """Open a session, or return why not. With opportunistic TLS a failure of TLS is left to the caller to get over."""
    try:
        connected = await _connect(hop, manner.connect_timeout)
    except TimeoutError:
        return ConnectFailure(Reply(451, "4.4.1", f"no connection within {manner.connect_timeout:g} s"), hop)
    except OSError as error:
        return ConnectFailure(Reply(451, "4.4.1", f"no connection: {error.strerror or error}"), hop)
    return await _Opening(hop, manner, connected).session()


def is_local(address: str) -> bool:
    """Tell whether an IP address belongs to this machine. Connecting a datagram socket sends nothing."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, 9))
        except OSError:
            return False
        return bool(probe.getsockname()[0] == address)


async def _connect(hop: Endpoint, timeout: float) -> socket.socket:
    family = socket.AF_INET if hop.address.version == 4 else socket.AF_INET6
    connecting = socket.socket(family, socket.SOCK_STREAM)
    with ExitStack() as on_failure:
        on_failure.callback(connecting.close)
        connecting.setblocking(False)
        async with asyncio.timeout(timeout):
            await asyncio.get_running_loop().sock_connect(connecting, (str(hop.address), hop.port))
        on_failure.pop_all()
    return connecting


class _Opening:
    """The steps from a connected socket to a session; `_step` names the one under way for the error text."""

    def __init__(self, hop: Endpoint, manner: ConnectOptions, connected: socket.socket) -> None:
        self._hop = hop
        self._manner = manner
        self._step = "the greeting"
        self._client = aiosmtplib.SMTP(
            hostname=hop.name or str(hop.address),
            sock=connected,
            local_hostname=manner.helo,
            timeout=manner.patience.command,
            use_tls=manner.security is Security.IMPLICIT,
            start_tls=False,
            tls_context=manner.context,
        )

    async def session(self) -> Session | ConnectFailure:
        """Greet, encrypt and authenticate; return the session, or why there is none: then the socket is closed."""
        with ExitStack() as on_failure:
            on_failure.callback(self._client.close)
            try:
                await self._client.connect()
                await self._hello()
                refusal = await self._encrypt() or await self._authenticate()
            except (aiosmtplib.SMTPException, OSError) as error:
                locked_out = isinstance(error, aiosmtplib.SMTPResponseException) and 500 <= error.code <= 599
                by_tls = self._step == "STARTTLS"
                return ConnectFailure(self._reply(error), self._hop, by_tls, locked_out, _PHASES[self._step])
            if refusal is not None:
                return ConnectFailure(refusal, self._hop, self._step == "STARTTLS", phase=_PHASES[self._step])
            on_failure.pop_all()
        return self._take_over()

    async def _hello(self) -> None:
        """EHLO, and HELO when the other side does not know that (RFC 5321 section 3.2)."""
        self._step = "EHLO"
        try:
            await self._client.ehlo()
        except aiosmtplib.SMTPHeloError as error:
            if error.code // 100 != 5:
                raise
            self._step = "HELO"
            await self._client.helo()

    async def _encrypt(self) -> Reply | None:
        """STARTTLS where the manner asks for it; return why that required TLS is not to be had."""
        security = self._manner.security
        if security not in (Security.OPPORTUNISTIC, Security.REQUIRED):
            return None
        if not self._client.supports_extension("starttls"):
            if security is Security.OPPORTUNISTIC:
                return None
            return Reply(451, "4.7.5", "TLS is required, and the server does not offer STARTTLS")
        self._step = "STARTTLS"
        await self._client.starttls()
        await self._hello()
        return None

    async def _authenticate(self) -> Reply | None:
        """AUTH when there are credentials; never where others could read them."""
        credentials = self._manner.credentials
        if credentials is None:
            return None
        self._step = "AUTH"
        encrypted = self._client.get_transport_info("sslcontext") is not None
        if not encrypted and not self._hop.address.is_loopback:
            return Reply(451, "4.7.0", 'no password is sent in clear text: set tls = "starttls" or "implicit"')
        await self._client.login(credentials.username, credentials.password)
        return None

    def _take_over(self) -> Session:
        offers = Capabilities.of(self._client.esmtp_extensions)
        wire = ClientStream(cast(asyncio.Transport, self._client.transport))
        return Session(wire, str(self._hop), offers, self._manner.patience)

    def _reply(self, error: aiosmtplib.SMTPException | OSError) -> Reply:
        """Return the server's own reply when it gave one, ours otherwise."""
        match error:
            case aiosmtplib.SMTPResponseException(code=code, message=text) if 400 <= code <= 599:
                reply = parse_reply(code, _clean(text))
                return reply if self._step != "AUTH" else Reply(454, "4.7.0", f"AUTH was refused: {reply}")
            case aiosmtplib.SMTPResponseException(message=text):
                return Reply(451, "4.5.0", f"no sense in the reply to {self._step}: {_clean(text)[:200]}")
            case _ if self._step == "STARTTLS" or isinstance(error.__cause__, ssl.SSLError):
                return Reply(451, "4.7.5", f"TLS failed: {_clean(str(error.__cause__ or error))}")
            case TimeoutError():
                seconds = self._manner.patience.command
                return Reply(451, "4.4.2", f"{self._step} took longer than {seconds:g} s")
            case OSError():
                return Reply(451, "4.4.2", f"connection lost during {self._step}: {_clean(str(error))}")
            case _:
                return Reply(451, "4.7.0", f"{self._step}: {_clean(str(error))}")


def _clean(text: str) -> str:
    """Return text from the other side fit for logs; aiosmtplib keeps undecodable octets as surrogates."""
    return printable(text.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
