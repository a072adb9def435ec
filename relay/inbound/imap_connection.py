"""A connection to an IMAP server: every step has a time limit and an error that names server and step. Blocking."""

import imaplib
import ssl
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socket import SHUT_RDWR, create_connection, socket
from threading import Event, Timer
from typing import Any

from imapclient import IMAPClient
from imapclient.exceptions import CapabilityError, LoginError

from relay.config.masking import mask_secrets
from relay.config.settings import Imap
from relay.inbound.imap_errors import LoginRefusedError, MailboxError
from relay.inbound.imap_wrong_port import wrong_port
from relay.mail.sasl_bearer import MAX_ERROR, Responses, choose_mechanism, initial_response

SILENCE = 15.0
"""Seconds without an octet after which a step fails."""

RESPONSE_SECONDS = 60.0
"""Seconds after which a step fails though octets arrive, in SILENCE at most."""


class ImapConnection:
    """A connection for the account of the configuration. Every method raises MailboxError."""

    refused = imaplib.IMAP4.error
    """Raised where a folder that was opened for writing can only be read, or where the server refuses a command."""

    def __init__(self, imap: Imap) -> None:
        self._imap = imap
        self._wire: socket | None = None
        """The TCP connection. TLS uses a duplicate, so that it can be shut down during a handshake too."""
        self._abandoned = False
        self.client: Any = None

    def open(self) -> None:
        """Connect, with a certificate the system trusts unless `tls` is "none".

        If another protocol answers, or TLS is expected or missing, the error says so.
        """
        with self.step("connect"):
            self._wire = create_connection((self._imap.host, self._imap.port), SILENCE)
            if self._abandoned:  # Another thread did it before there was a connection to close.
                self._close()
                raise ConnectionAbortedError("the connection was abandoned")
            connection = self._wire.dup()  # Raises OSError too if another thread abandons it now.
        try:
            self._start(connection)
        except MailboxError as error:
            self._close()
            is_known = self._abandoned or isinstance(error.__cause__, ssl.SSLCertVerificationError)
            if not is_known and (found := wrong_port(self._imap)):
                raise MailboxError(f"{error}; {found}") from error.__cause__
            raise

    def _start(self, connection: socket) -> None:
        imap = self._imap
        context = ssl.create_default_context()
        if imap.tls == "implicit":
            with self.step("TLS"):
                connection.settimeout(SILENCE)
                connection = context.wrap_socket(connection, server_hostname=imap.host)
        with self.step("greeting"):
            self.client = _Client(connection, imap)

        if imap.tls == "starttls":
            with self.step("STARTTLS"):
                self.client.starttls(context)

    def send_token(self, token: str) -> None:
        """Log in with an access token. Raises the errors of the library, with the error that the server sent."""
        names = (one.decode("ascii", "replace").upper() for one in self.client.capabilities())
        mechanism = choose_mechanism([name.removeprefix("AUTH=") for name in names if name.startswith("AUTH=")])
        first = initial_response(mechanism, self._imap.username, token, self._imap.host, self._imap.port)
        responses = Responses(mechanism, first)
        try:
            self.client.sasl_login(mechanism, responses)
        except LoginError as error:
            sent = (token, b64encode(first).decode())
            text = f"{mask_secrets(str(error), sent)} {mask_secrets(responses.error, sent)[:MAX_ERROR]}"
            raise LoginError(text.strip()) from error

    def abandon(self) -> None:
        """Close the connection at once; a call that waits in another thread fails."""
        self._abandoned = True
        self._close()

    def _close(self) -> None:
        # The socket first: closing the library's file would wait for the thread that reads it.
        self._cut()
        if self.client is not None:
            with suppress(OSError):
                self.client.shutdown()
        if self._wire is not None:
            self._wire.close()

    def _cut(self) -> None:
        if self._wire is not None:
            with suppress(OSError):
                self._wire.shutdown(SHUT_RDWR)

    @contextmanager
    def step(self, step: str) -> Iterator[None]:
        """Limit the time of a step, and turn the errors of the library into MailboxError."""
        late = Event()

        def cut() -> None:
            late.set()
            self._cut()

        timer = Timer(RESPONSE_SECONDS, cut)
        timer.daemon = True
        timer.start()
        server = f"{self._imap.host}:{self._imap.port}"
        try:
            yield
        except LoginError as error:
            raise LoginRefusedError(f"{server}: {step} was refused: {_text(error)}") from error
        except CapabilityError as error:
            raise MailboxError(f"{server}: {step} is not offered: {_text(error)}") from error
        except (imaplib.IMAP4.error, OSError, ValueError, KeyError) as error:
            slow = f"the response is not complete after {RESPONSE_SECONDS:g} seconds: the server sends too slowly"
            raise MailboxError(f"{server}: {step} failed: {slow if late.is_set() else _text(error)}") from error
        finally:
            timer.cancel()


class _Protocol(imaplib.IMAP4):
    """The protocol over a given connection."""

    def __init__(self, connection: socket, imap: Imap) -> None:
        self._connection = connection
        super().__init__(imap.host, imap.port)

    def _create_socket(self, timeout: float | None) -> socket:
        del timeout
        return self._connection


class _Client(IMAPClient):
    """The client over a given connection."""

    def __init__(self, connection: socket, imap: Imap) -> None:
        self._connection = connection
        self._account = imap
        super().__init__(imap.host, imap.port, ssl=imap.tls == "implicit", timeout=SILENCE)

    def _create_IMAP4(self) -> imaplib.IMAP4:  # noqa: N802  of the library
        return _Protocol(self._connection, self._account)


def _text(error: Exception) -> str:
    """Return an error as one line, without the quotes of bytes and without control characters."""
    text = str(error).removeprefix("b'").removesuffix("'")
    return "".join(char if char.isprintable() else " " for char in text)
