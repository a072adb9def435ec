"""Opens a session with one server: connect, EHLO, STARTTLS, AUTH."""

import asyncio
import socket
import ssl
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import assert_never, cast

import aiosmtplib

from relay.config.masking import mask_secrets
from relay.delivery.commands import Capabilities
from relay.delivery.handshake_client import HandshakeClient
from relay.delivery.mx import Endpoint
from relay.delivery.reply_parser import printable
from relay.delivery.session import Session, Timeouts
from relay.delivery.stream import ClientStream
from relay.mail.reply import Reply, parse_reply
from relay.mail.sasl_bearer import (
    MAX_ERROR,
    choose_mechanism,
    decode_challenge,
    error_response,
    error_text,
    initial_response,
)
from relay.queue.outcome import Phase
from relay.resolver import os_error_text


class Security(Enum):
    """When a connection is encrypted."""

    NONE = "none"
    OPPORTUNISTIC = "opportunistic"
    REQUIRED = "required"
    """No session without STARTTLS."""
    IMPLICIT = "implicit"
    """TLS from the first octet (RFC 8314)."""


class TlsContexts:
    """The TLS contexts. They are made at first use, because loading the certificates of the system takes time."""

    def __init__(self, verifying: Callable[[], ssl.SSLContext] = ssl.create_default_context) -> None:
        self._make_verifying = verifying

    @cached_property
    def verified(self) -> ssl.SSLContext:
        """The context that verifies the certificate and the host name."""
        context = self._make_verifying()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context

    @cached_property
    def unverified(self) -> ssl.SSLContext:
        """The context that encrypts without verifying the certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


@dataclass(frozen=True, slots=True)
class Credentials:
    """User name and password of our account at a provider."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Bearer:
    """User name and access token of our account at a provider with OAuth2."""

    username: str
    token: str = field(repr=False)


_PHASES: Mapping[str, Phase] = {
    "the greeting": "connect",
    "EHLO": "ehlo",
    "HELO": "ehlo",
    "STARTTLS": "starttls",
    "AUTH": "auth",
}
"""Phase of each step, by the name of the step in error texts."""


@dataclass(frozen=True, slots=True)
class ConnectOptions:
    """Options of a connection to a server of a lane."""

    helo: str
    security: Security
    context: ssl.SSLContext | None
    """None for a connection without TLS."""
    timeouts: Timeouts
    connect_timeout: float
    """Seconds."""
    credentials: Credentials | Bearer | None = None


@dataclass(frozen=True, slots=True)
class ConnectFailure:
    """A session that could not be opened."""

    reply: Reply
    endpoint: Endpoint
    tls_failed: bool = False
    """STARTTLS failed, so that a session in clear text may succeed."""
    locked_out: bool = False
    """The server refuses us permanently (5yz)."""
    refused_connection: bool = False
    """No server listens there, as the network reported at once."""
    phase: Phase = "connect"
    without_token: bool = False
    """There was no access token, so the server was not asked."""


Connect = Callable[[Endpoint, ConnectOptions], Awaitable[Session | ConnectFailure]]
"""Opens a session with a server: `connect`, or the receiver inside the relay."""


async def connect(endpoint: Endpoint, options: ConnectOptions) -> Session | ConnectFailure:
    """Open a session. With opportunistic TLS, a retry in clear text is up to the caller."""
    try:
        connected = await _connect(endpoint, options.connect_timeout)
    except TimeoutError:
        return ConnectFailure(Reply(451, "4.4.1", f"no connection within {options.connect_timeout:g} s"), endpoint)
    except OSError as error:
        reply = Reply(451, "4.4.1", f"no connection: {os_error_text(error)}")
        return ConnectFailure(reply, endpoint, refused_connection=isinstance(error, ConnectionRefusedError))
    return await greet(endpoint, options, connected)


async def greet(endpoint: Endpoint, options: ConnectOptions, connected: socket.socket) -> Session | ConnectFailure:
    """Open a session on a connected socket. A failure closes it."""
    return await _Handshake(endpoint, options, connected).session()


async def _connect(endpoint: Endpoint, timeout: float) -> socket.socket:
    family = socket.AF_INET if endpoint.address.version == 4 else socket.AF_INET6
    connecting = socket.socket(family, socket.SOCK_STREAM)
    with ExitStack() as on_failure:
        on_failure.callback(connecting.close)
        connecting.setblocking(False)
        async with asyncio.timeout(timeout):
            await asyncio.get_running_loop().sock_connect(connecting, (str(endpoint.address), endpoint.port))
        on_failure.pop_all()
    return connecting


class _Handshake:
    """The steps from a connected socket to a session. `_step` is the name of the current step for error texts."""

    def __init__(self, endpoint: Endpoint, options: ConnectOptions, connected: socket.socket) -> None:
        self._endpoint = endpoint
        self._options = options
        self._step = "the greeting"
        self._is_encrypted = False
        self._client = HandshakeClient(
            hostname=endpoint.name or str(endpoint.address),
            sock=connected,
            local_hostname=options.helo,
            timeout=options.timeouts.command,
            use_tls=options.security is Security.IMPLICIT,
            start_tls=False,
            tls_context=options.context,
        )

    async def session(self) -> Session | ConnectFailure:
        """Send EHLO, encrypt and authenticate. A failure closes the socket."""
        with ExitStack() as on_failure:
            on_failure.callback(self._client.close)
            try:
                await self._client.connect()
                await self._hello()
                refusal = await self._encrypt() or await self._authenticate()
            except (aiosmtplib.SMTPException, OSError) as error:
                locked_out = isinstance(error, aiosmtplib.SMTPResponseException) and 500 <= error.code <= 599
                tls_failed = self._tls_failed(error)
                phase = "starttls" if tls_failed else _PHASES[self._step]
                return ConnectFailure(self._reply(error), self._endpoint, tls_failed, locked_out, phase=phase)

            if refusal is not None:
                return ConnectFailure(refusal, self._endpoint, self._step == "STARTTLS", phase=_PHASES[self._step])
            on_failure.pop_all()
        return self._session()

    async def _hello(self) -> None:
        """Send EHLO, and HELO when the server refuses EHLO (RFC 5321 section 3.2)."""
        self._step = "EHLO"
        try:
            await self._client.ehlo()
        except aiosmtplib.SMTPHeloError as error:
            if error.code // 100 != 5:
                raise
            self._step = "HELO"
            await self._client.helo()

    async def _encrypt(self) -> Reply | None:
        """Send STARTTLS where the options ask for it. Return the failure when TLS is required and not offered."""
        security = self._options.security
        if security not in (Security.OPPORTUNISTIC, Security.REQUIRED):
            return None
        if not self._client.supports_extension("starttls"):
            if security is Security.OPPORTUNISTIC:
                return None
            return Reply(451, "4.7.5", "TLS is required, and the server does not offer STARTTLS")

        self._step = "STARTTLS"
        await self._client.starttls()
        self._is_encrypted = True
        await self._hello()
        return None

    async def _authenticate(self) -> Reply | None:
        """Send AUTH when there are credentials. Return the failure when they would be sent in clear text."""
        credentials = self._options.credentials
        if credentials is None:
            return None
        self._step = "AUTH"
        if not self._has_tls and not self._endpoint.address.is_loopback:
            return Reply(451, "4.7.0", 'no password is sent in clear text: set tls = "starttls" or "implicit"')
        match credentials:
            case Credentials(username, password):
                await self._client.login(username, password)
            case Bearer():
                await self._send_token(credentials)
            case never:
                assert_never(never)
        return None

    async def _send_token(self, bearer: Bearer) -> None:
        """Send AUTH with the token (RFC 7628). The error that a server sends before its refusal is kept in the text."""
        mechanism = choose_mechanism(self._client.server_auth_methods)
        host = self._endpoint.name or str(self._endpoint.address)
        response = initial_response(mechanism, bearer.username, bearer.token, host, self._endpoint.port)
        reply = await self._client.execute_command(b"AUTH", mechanism.encode(), b64encode(response))
        sent = (bearer.token, b64encode(response).decode())
        text = reply.message
        if reply.code == 334:
            error = mask_secrets(error_text(decode_challenge(reply.message)), sent)
            reply = await self._client.execute_command(b64encode(error_response(mechanism)))
            text = f"{reply.message} {error[:MAX_ERROR]}".strip()
        if reply.code != 235:
            raise aiosmtplib.SMTPAuthenticationError(reply.code, mask_secrets(text, sent))

    def _session(self) -> Session:
        offers = Capabilities.of(self._client.esmtp_extensions)
        stream = ClientStream(cast(asyncio.Transport, self._client.transport))
        return Session(stream, str(self._endpoint), offers, self._options.timeouts, is_encrypted=self._has_tls)

    @property
    def _has_tls(self) -> bool:
        return self._client.get_transport_info("sslcontext") is not None

    def _tls_failed(self, error: Exception) -> bool:
        """Whether STARTTLS failed, or the connection after it: TLS 1.3 reports some failures after the handshake."""
        if self._step == "STARTTLS":
            return True
        has_reply = isinstance(error, aiosmtplib.SMTPResponseException)
        return self._is_encrypted and self._step in ("EHLO", "HELO") and not has_reply

    def _reply(self, error: aiosmtplib.SMTPException | OSError) -> Reply:
        """Return the reply of the server, or a reply of our own when there is none."""
        match error:
            case aiosmtplib.SMTPResponseException(code=code, message=text) if 400 <= code <= 599:
                reply = parse_reply(code, _clean(text))
                return reply if self._step != "AUTH" else Reply(454, "4.7.0", f"AUTH was refused: {reply}")
            case aiosmtplib.SMTPResponseException(message=text):
                return Reply(451, "4.5.0", f"unexpected reply to {self._step}: {_clean(text)[:200]}")
            case _ if self._tls_failed(error) or isinstance(error.__cause__, ssl.SSLError):
                return Reply(451, "4.7.5", f"TLS failed: {_clean(str(error.__cause__ or error))}")
            case TimeoutError():
                seconds = self._options.timeouts.command
                return Reply(451, "4.4.2", f"{self._step} took longer than {seconds:g} s")
            case OSError():
                return Reply(451, "4.4.2", f"connection lost during {self._step}: {_clean(str(error))}")
            case _:
                return Reply(451, "4.7.0", f"{self._step}: {_clean(str(error))}")


def _clean(text: str) -> str:
    """Return text of the server without control characters. aiosmtplib keeps undecodable octets as surrogates."""
    return printable(text.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
