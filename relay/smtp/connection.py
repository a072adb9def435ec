"""Connection of one client: session, command loop, and limits."""

import asyncio
import math
import traceback
from collections.abc import Awaitable, Callable, Mapping

from relay.frozen import replace
from relay.mail.dot_stuffing import LineEndDecoder
from relay.mail.reply import Reply
from relay.mail.smtp_command import CommandLine, parse_line
from relay.mail.transaction import Envelope, Session, network_of
from relay.networks import is_loopback, plain_address
from relay.proxy_protocol import ProxyHeader
from relay.smtp.body import Body
from relay.smtp.context import ListenerContext
from relay.smtp.stream import ClientDisconnected, SmtpStream, TlsHandshakeError

MAX_AUTH_LINE = 12288
"""Maximum octets of a line of an AUTH exchange (RFC 4954 section 4)."""

_LEAST_PROGRESS = 1024
"""Octets of content that extend the data timeout; slower clients are disconnected."""

_JUNK_COMMANDS = frozenset({"EHLO", "HELO", "HELP", "NOOP", "RSET", "VRFY"})
"""Commands that do not send mail; limited between two messages by max_junk_commands."""

_JUNK_UNDER_STRESS = 3
"""Junk commands of a stranger under stress, at most: EHLO before and after STARTTLS, and one more."""

_IDLE = Reply(421, "4.4.2", "Nothing was sent for too long, closing")

_STOPPING = Reply(421, "4.3.2", "The server is going down, try again in a moment")

_TOO_MANY_ERRORS = Reply(421, "4.7.0", "Too many errors, closing")

_TOO_MUCH_JUNK = Reply(421, "4.7.0", "Too many commands without a message, closing")

_TOO_LONG = Reply(500, "5.5.2", "Command line too long")

_UNKNOWN = Reply(500, "5.5.1", "Command not known here")

_FAILED = Reply(451, "4.3.0", "Something went wrong here, try again later")

_FAILED_CLOSING = Reply(421, "4.3.0", "Something went wrong here, try again later")

_CLOSING_CODES = (221, 421, 521)

_UNKNOWN_CLIENT = "0.0.0.0"  # noqa: S104 - the address of a client that disconnected before it was read


class Connection(SmtpStream):
    """A connection. The commands use its public attributes; decisions depend on `client_session`."""

    def __init__(
        self,
        service: ListenerContext,
        commands: "Mapping[str, Command]",
        connections: "set[Connection]",
        header: ProxyHeader | None = None,
    ) -> None:
        """`header` is the PROXY header in front of the connection, None if there is none."""
        super().__init__()
        self.service = service
        self.client_session = Session(service.listener.name, service.listener.kind, "")
        self.loopback = False
        self.mail: Envelope | None = None
        self.body: Body | None = None
        self.line_ends = LineEndDecoder()
        self.auth_failures = 0
        self.reading_commands = True
        """False while content is read, which must not be executed as commands."""
        self._commands = commands
        self._connections = connections
        self._header = header
        self._waits_for_command = False
        self._verb = ""
        self._logged: Reply | None = None
        self._errors = 0
        self._junk_commands = 0
        self._progress = 0
        self._is_allowed = False
        self.waits_since = math.inf

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the session; with implicit TLS after the handshake."""
        super().connection_made(transport)
        peer = transport.get_extra_info("peername") or (_UNKNOWN_CLIENT,)
        is_known = self._header is None or bool(self._header.client)
        client = (self._header.client if self._header else "") or plain_address(str(peer[0])) or _UNKNOWN_CLIENT
        self.loopback = is_known and is_loopback(client)
        listener = self.service.listener
        self.client_session = Session(listener.name, listener.kind, client, tls=self.tls, client_known=is_known)
        self._is_allowed = is_known and listener.allows(client)
        self._connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        """Remove the connection from the server's set."""
        super().connection_lost(error)
        self._connections.discard(self)

    @property
    def is_stranger(self) -> bool:
        """Whether the client has neither authenticated nor may send by its address."""
        return not (self._is_allowed or self.client_session.credential)

    # Called by the server

    def sweep(self, now: float) -> None:
        """Close the connection when its deadline has passed. It is shorter for a stranger under stress."""
        deadline = self.deadline
        if self._is_curbed:
            deadline = min(deadline, self.waits_since + self.service.settings().smtp.stress_timeout)
        if now > deadline:
            if not self.closing:
                self.refused(_IDLE)
            self.close_with(_IDLE, now)

    def stop(self) -> None:
        """Close an idle connection; others close after the current command."""
        if self._waits_for_command:
            self.close_with(_STOPPING, self.service.clock())

    def displace(self, reply: Reply) -> None:
        """Close the connection, because another one takes its place."""
        self.refused(reply)
        self.close_with(reply, self.service.clock())

    @property
    def _is_curbed(self) -> bool:
        return self.service.stressed and self.is_stranger

    # The commands

    async def _handle_client(self) -> None:
        service = self.service
        table, network = service.resources.connections, network_of(self.client_session.client)
        smtp = service.settings().smtp
        refusal = _STOPPING if service.stopping else table.enter(self, service.listener.name, network, smtp)

        try:
            if refusal is None:
                self._log("smtp.connected")
                self.queue_reply(Reply(220, "", f"{service.settings().server.hostname} ESMTP"))
            else:
                self.refused(refusal)
                self._reply(refusal)
            while not self.closing:
                await self._next_command()
            await self.flush()
        except TlsHandshakeError as error:
            self._log("smtp.tls_failed", error=str(error))
        except ClientDisconnected:
            if self.mail is not None:
                self._log("smtp.lost", command=self._verb, reverse_path=self.mail.reverse_path)
        finally:
            self.reset()
            table.leave(self)
            self.close(service.clock())

    async def _next_command(self) -> None:
        service = self.service
        if service.stopping:
            self._reply(_STOPPING)
            return

        smtp = service.settings().smtp
        self._wait(smtp.idle_timeout)
        self._waits_for_command = True
        raw = await self.read_line(MAX_AUTH_LINE)
        self._waits_for_command = False
        if raw is None or (len(raw) + 2 > smtp.max_command_line and raw[:5].upper() != b"AUTH "):
            self._reply(_TOO_LONG)
        else:
            line = parse_line(raw)
            reply = line if isinstance(line, Reply) else await self._execute(line)
            if reply is not None:
                self._reply(reply)

    async def _execute(self, line: CommandLine) -> Reply | None:
        # The argument and an unknown verb may be parts of a secret.
        command = self._commands.get(line.verb)
        self._verb = "" if command is None else line.verb
        if line.verb in _JUNK_COMMANDS:
            self._junk_commands += 1
            most = _JUNK_UNDER_STRESS if self._is_curbed else self.service.settings().smtp.max_junk_commands
            if self._junk_commands > most:
                return _TOO_MUCH_JUNK

        if command is None:
            return _UNKNOWN

        try:
            return await command(self, line.argument)
        except ClientDisconnected:
            raise
        except Exception as error:  # noqa: BLE001 - the SMTP edge, one of the two places where everything is caught
            trace = "".join(traceback.format_exception(error))
            self._log("smtp.failed", error=trace)
            self.reset()
            return _FAILED if self.reading_commands else _FAILED_CLOSING

    def _reply(self, reply: Reply) -> None:
        """Queue a reply, or 421 when the client reached max_errors. Each refusal is logged once."""
        if reply.code >= 400 and reply is not self._logged:
            self.refused(reply)
        self._logged = None
        if reply.code >= 500:
            self._errors += 1
            if self._errors >= self.service.settings().smtp.max_errors and reply.code not in _CLOSING_CODES:
                reply = _TOO_MANY_ERRORS
                self.refused(reply)
        self.queue_reply(reply if reply.text.isprintable() else _printable(reply))
        if reply.code in _CLOSING_CODES:
            self.closing = True

    # Used by the commands

    def reset(self) -> None:
        """End the transaction."""
        self.mail = None
        if self.body is not None:
            self.body.close()
            self.body = None

    def message_accepted(self, size: int) -> None:
        """Log an accepted message of `size` octets, and reset the counts of errors and junk commands."""
        self._errors = self._junk_commands = 0
        self._log("smtp.accepted", size=size)

    def refused(self, reply: Reply, recipient: str = "") -> None:
        """Log a refusal."""
        reverse_path = self.mail.reverse_path if self.mail else ""
        self._log("smtp.refused", command=self._verb, reply=str(reply), reverse_path=reverse_path, recipient=recipient)
        self._logged = reply

    def login_failed(self, credential: str, reply: Reply) -> None:
        """Log a failed login, and count it."""
        self.auth_failures += 1
        self._log("smtp.auth_failed", credential=credential)
        self._logged = reply

    def _log(self, line: str, /, **fields: object) -> None:
        self.service.log(line, client=self.client_session.client, listener=self.client_session.listener, **fields)

    def suspend_deadline(self) -> None:
        """Suspend the deadline while the client waits for the server."""
        self.deadline = self.waits_since = math.inf

    def expect_content(self) -> None:
        """Start the timeout of the next block of content."""
        self._progress = 0
        self._wait(self.service.settings().smtp.data_timeout)

    def progressed(self, octets: int) -> None:
        """Restart the timeout when enough content has arrived."""
        self._progress += octets
        if self._progress >= _LEAST_PROGRESS:
            self.expect_content()

    def _wait(self, timeout: float) -> None:
        """Start a wait for the client of at most `timeout` seconds."""
        self.waits_since = self.service.clock()
        self.deadline = self.waits_since + timeout


def _printable(reply: Reply) -> Reply:
    """Replace control characters, which could end the reply early; a reply may quote other servers."""
    if reply.text.replace("\n", "").isprintable():
        return reply
    return replace(reply, text="".join(c if c.isprintable() or c == "\n" else "?" for c in reply.text))


Command = Callable[[Connection, str], Awaitable[Reply | None]]
"""A command: takes its argument, returns the reply; None when it has replied already."""
