"""One SMTP session of the receiver (RFC 5321): commands, replies, and the steps of the words."""

import asyncio
from dataclasses import dataclass, field
from typing import assert_never

from relay.mail.reply import Reply
from relay.mail.simulator_words import (
    ACCEPTED,
    Answer,
    AnswerUntil,
    Behaviour,
    BreakTls,
    Close,
    React,
    Slow,
    Suppressed,
)
from relay.mail.smtp_command import MailCommand, parse_line, parse_mail, parse_rcpt
from relay.simulator.resources import Accepted, Resources

_OK = Reply(250, "2.0.0", "Ok")

_ORDER = Reply(503, "5.5.1", "Commands in the wrong order")


@dataclass(slots=True)
class _Mail:
    """A mail transaction in progress."""

    reverse_path: str = ""
    smtputf8: bool = False
    recipients: list[tuple[str, Behaviour]] = field(default_factory=list)
    is_begun: bool = False


class Conversation:
    """A session with one client. `word` is that of its lane."""

    def __init__(
        self, resources: Resources, word: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._resources = resources
        self._word = word
        self._reader = reader
        self._writer = writer
        self._mail = _Mail()
        self._is_encrypted = False
        self._is_over = False

    async def run(self) -> None:
        """Answer commands until the client leaves or the connection is closed."""
        await self._send(Reply(220, "", f"{self._resources.name} ESMTP simulator"))
        while not self._is_over:
            raw = await self._reader.readline()
            if not raw:
                return
            await self._execute(raw.rstrip(b"\r\n"))

    async def _send(self, reply: Reply) -> None:
        self._writer.write(reply.encode())
        await self._writer.drain()
        self._is_over |= reply.code == 421

    async def _execute(self, raw: bytes) -> None:
        line = parse_line(raw)
        if isinstance(line, Reply):
            await self._send(line)
            return
        match line.verb:
            case "EHLO":
                await self._send(Reply(250, "", "\n".join((self._resources.name, *self._extensions()))))
            case "HELO":
                await self._send(Reply(250, "", self._resources.name))
            case "STARTTLS" if not self._is_encrypted:
                await self._start_tls()
            case "MAIL":
                await self._send(self._begin(line.argument))
            case "RCPT":
                await self._send(self._add(line.argument))
            case "DATA":
                await self._data()
            case "RSET":
                self._mail = _Mail()
                await self._send(_OK)
            case "NOOP":
                await self._send(_OK)
            case "QUIT":
                await self._send(Reply(221, "2.0.0", "Bye"))
                self._is_over = True
            case _:
                await self._send(Reply(502, "5.5.1", f"{line.verb[:20]} is not implemented"))

    def _extensions(self) -> tuple[str, ...]:
        """Return the extensions. DSN is missing, so that the relay itself reports success to who asks for it."""
        offered = ("PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES")
        return offered if self._is_encrypted else (*offered, "STARTTLS")

    async def _start_tls(self) -> None:
        await self._send(Reply(220, "2.0.0", "Ready to start TLS"))
        if self._word == "tls":
            # No TLS record begins so: the handshake of the client fails.
            self._writer.write(b"this is no TLS\r\n")
            await self._writer.drain()
            self._is_over = True
            return
        await self._writer.start_tls(self._resources.tls)
        self._is_encrypted = True
        self._mail = _Mail()

    def _begin(self, argument: str) -> Reply:
        found = parse_mail(argument)
        if isinstance(found, MailCommand):
            envelope = found.envelope
            self._mail = _Mail(envelope.reverse_path, envelope.smtputf8, is_begun=True)
            return _OK
        return found

    def _add(self, argument: str) -> Reply:
        if not self._mail.is_begun:
            return _ORDER
        recipient = parse_rcpt(argument, self._resources.name, smtputf8=self._mail.smtputf8)
        if isinstance(recipient, Reply):
            return recipient
        behaviour = self._resources.words().behaviour(recipient.address)
        match behaviour:
            case Answer(reply, at_dot) if not at_dot:
                return reply
            case AnswerUntil(reply, seconds):
                resources, key = self._resources, (self._mail.reverse_path, recipient.address)
                if resources.first_attempts.is_early(key, resources.span(seconds), resources.clock()):
                    return reply
        self._mail.recipients.append((recipient.address, behaviour))
        return _OK

    async def _data(self) -> None:
        mail, self._mail = self._mail, _Mail()
        if not mail.recipients:
            await self._send(Reply(554, "5.5.1", "No valid recipients") if mail.is_begun else _ORDER)
            return
        steps = [behaviour for _, behaviour in mail.recipients]
        if Close(after_dot=False) in steps:
            self._is_over = True
            return
        await self._send(Reply(354, "", "End data with <CR><LF>.<CR><LF>"))
        content = await self._content()
        if Close(after_dot=True) in steps:
            self._is_over = True
            return
        reply = ACCEPTED
        for behaviour in steps:
            reply = await self._reply_to_dot(behaviour, reply)
        await self._send(reply)
        if reply.is_positive:
            self._accept(mail, content)

    async def _content(self) -> bytes:
        lines: list[bytes] = []
        while (line := await self._reader.readline()) != b".\r\n":
            if not line.endswith(b"\n"):
                raise EOFError("the client left in the content")
            lines.append(line[1:] if line.startswith(b".") else line)
        return b"".join(lines)

    async def _reply_to_dot(self, behaviour: Behaviour, before: Reply) -> Reply:
        match behaviour:
            case Answer(reply):
                return reply
            case Slow(seconds):
                await asyncio.sleep(self._resources.span(seconds))
                return before
            case AnswerUntil() | Close() | BreakTls() | React() | Suppressed():
                return before
            case _:
                assert_never(behaviour)

    def _accept(self, mail: _Mail, content: bytes) -> None:
        for recipient, behaviour in mail.recipients:
            if isinstance(behaviour, React):
                at = self._resources.clock()
                self._resources.accepted(Accepted(behaviour.reaction, mail.reverse_path, recipient, content, at))
