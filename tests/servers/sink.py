"""An SMTP server that keeps what it is given, and says or does the wrong thing when told to.

What it does is chosen by the moment: `greeting`, `EHLO`, `HELO`, `STARTTLS`, `AUTH`, `MAIL`, `RCPT`, `DATA`, `body`
(after 354, before reading), `.` (the final dot), `RSET`, `QUIT`. `sink.once("RCPT", Say("450 4.2.1 busy"))` is used up
by the next RCPT, `sink.always(...)` holds; else it behaves.
"""

import asyncio
import base64
import re
import ssl
from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Say:
    """These lines instead of the right ones; `drop`: and then close."""

    text: str | bytes
    drop: bool = False

    @property
    def octets(self) -> bytes:
        return self.text if isinstance(self.text, bytes) else f"{self.text}\r\n".encode()


@dataclass(frozen=True)
class Drop:
    """Close the connection."""


@dataclass(frozen=True)
class Reset:
    """Close it with a TCP reset."""


@dataclass(frozen=True)
class Hang:
    """Say nothing until the other side gives up."""


@dataclass(frozen=True)
class Wait:
    """Let the other side wait, then behave."""

    seconds: float


@dataclass(frozen=True)
class Dribble:
    """The reply octet by octet."""

    text: str


Action = Say | Drop | Reset | Hang | Wait | Dribble


@dataclass
class Received:
    """One message: `content` with the dots undone."""

    connection: int
    reverse_path: str
    recipients: list[str]
    content: bytes
    mail_parameters: list[str] = field(default_factory=list)
    recipient_parameters: list[list[str]] = field(default_factory=list)
    helo: str = ""
    tls: bool = False
    login: str = ""


class _Closed(Exception):
    pass


class Sink:
    """Listens at `address` (127.0.0.1) on `port`, chosen when it starts unless given.

    `extensions` are offered in EHLO; STARTTLS is added when there is a `tls` context, which `implicit` uses at once.
    """

    def __init__(
        self,
        *,
        extensions: Iterable[str] = ("PIPELINING", "8BITMIME", "SIZE 50000000", "ENHANCEDSTATUSCODES", "DSN"),
        tls: ssl.SSLContext | None = None,
        implicit: bool = False,
        address: str = "127.0.0.1",
        port: int = 0,
        name: str = "sink.test",
    ) -> None:
        self.extensions = tuple(extensions)
        self.tls = tls
        self.implicit = implicit
        self.address = address
        self.port = port
        self.name = name
        self.messages: list[Received] = []
        self.commands: list[str] = []
        self.violations: list[str] = []
        self.connections = 0
        self.open = 0
        self.most_open = 0
        self._once: defaultdict[str, deque[Action]] = defaultdict(deque)
        self._always: dict[str, Action] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._arrived = asyncio.Event()

    async def __aenter__(self) -> Self:
        context = self.tls if self.implicit else None
        self._server = await asyncio.start_server(self._serve, self.address, self.port, ssl=context, limit=2**20)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def once(self, moment: str, *actions: Action) -> None:
        """Do these the next times that moment comes."""
        self._once[moment].extend(actions)

    def always(self, moment: str, action: Action) -> None:
        """Do this whenever that moment comes."""
        self._always[moment] = action

    def behave(self) -> None:
        """Forget all misbehaviour asked for."""
        self._once.clear()
        self._always.clear()

    async def received(self, count: int, timeout: float = 10.0) -> list[Received]:
        """Return the messages once there are so many."""
        async with asyncio.timeout(timeout):
            while len(self.messages) < count:
                self._arrived.clear()
                await self._arrived.wait()
        return self.messages

    def said(self, verb: str) -> list[str]:
        """Return the commands received that begin with this verb."""
        return [line for line in self.commands if line.upper().startswith(verb.upper())]

    def action(self, moment: str) -> Action | None:
        """Return what to do at this moment, None to behave."""
        waiting = self._once.get(moment)
        return waiting.popleft() if waiting else self._always.get(moment)

    def keep(self, message: Received) -> None:
        """Keep a message that was received whole."""
        self.messages.append(message)
        self._arrived.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await _Conversation(self, self.connections, reader, writer).run()
        except (_Closed, OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self.open -= 1
            self._tasks.discard(task)
            writer.close()


class _Conversation:
    def __init__(self, sink: Sink, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.sink = sink
        self.number = number
        self.reader = reader
        self.writer = writer
        self.buffer = b""
        self.helo = ""
        self.login = ""
        self.secure = sink.implicit
        self.message: Received | None = None

    async def run(self) -> None:
        await self.answer("greeting", f"220 {self.sink.name} ESMTP")
        while True:
            line = await self.line()
            self.sink.commands.append(line)
            verb = line.split(" ", 1)[0].upper()
            handler = getattr(self, f"on_{verb.lower()}", None)
            if handler is None:
                await self.say(b"500 5.5.2 unknown\r\n")
            else:
                await handler(line)
            if verb == "QUIT":
                return

    async def on_ehlo(self, line: str) -> None:
        self.helo, self.message = line[5:], None
        offers = [self.sink.name, *self.sink.extensions]
        if self.sink.tls is not None and not self.secure:
            offers.append("STARTTLS")
        lines = [f"250-{offer}" for offer in offers]
        lines[-1] = lines[-1].replace("-", " ", 1)
        await self.answer("EHLO", "\r\n".join(lines))

    async def on_helo(self, line: str) -> None:
        self.helo, self.message = line[5:], None
        await self.answer("HELO", f"250 {self.sink.name}")

    async def on_starttls(self, line: str) -> None:
        if not await self.answer("STARTTLS", "220 2.0.0 go ahead"):
            return
        if self.buffer:
            self.sink.violations.append(f"data behind STARTTLS: {self.buffer[:40]!r}")
        assert self.sink.tls is not None
        await self.writer.start_tls(self.sink.tls)
        self.secure, self.helo = True, ""

    async def on_auth(self, line: str) -> None:
        words = line.split(" ")
        if words[1].upper() == "PLAIN":
            self.login = base64.b64decode(words[2]).decode().replace("\0", ":").lstrip(":")
        else:
            user = base64.b64decode(words[2]).decode()
            await self.say(b"334 UGFzc3dvcmQ6\r\n")
            self.login = f"{user}:{base64.b64decode(await self.line()).decode()}"
        await self.answer("AUTH", "235 2.7.0 welcome")

    async def on_mail(self, line: str) -> None:
        if not self.helo:
            self.sink.violations.append("MAIL before EHLO")
        if self.message is not None:
            self.sink.violations.append("MAIL inside a transaction")
        path, parameters = _parse_path(line)
        if await self.answer("MAIL", "250 2.1.0 ok"):
            self.message = Received(
                self.number, path, [], b"", parameters, helo=self.helo, tls=self.secure, login=self.login
            )

    async def on_rcpt(self, line: str) -> None:
        if self.message is None:
            await self.say(b"503 5.5.1 MAIL first\r\n")
            return
        path, parameters = _parse_path(line)
        if await self.answer("RCPT", "250 2.1.5 ok"):
            self.message.recipients.append(path)
            self.message.recipient_parameters.append(parameters)

    async def on_data(self, line: str) -> None:
        if self.message is None or not self.message.recipients:
            await self.answer("DATA", "554 5.5.1 no valid recipients" if self.message else "503 5.5.1 MAIL first")
            self.message = None
            return
        if not await self.answer("DATA", "354 go ahead"):
            return
        if not await self.answer("body", ""):
            return
        self.message.content = await self.content()
        message, self.message = self.message, None
        if await self.answer(".", f"250 2.0.0 queued as {len(self.sink.messages)}"):
            self.sink.keep(message)

    async def on_rset(self, line: str) -> None:
        self.message = None
        await self.answer("RSET", "250 2.0.0 ok")

    async def on_quit(self, line: str) -> None:
        await self.answer("QUIT", "221 2.0.0 bye")

    async def answer(self, moment: str, right: str) -> bool:
        """Do what was asked for at this moment; return whether what was said means what is right."""
        action = self.sink.action(moment)
        match action:
            case Say():
                await self.say(action.octets)
                if action.drop:
                    raise _Closed
                return action.octets[:1] == right[:1].encode()
            case Drop():
                raise _Closed
            case Reset():
                self.writer.transport.abort()
                raise _Closed
            case Hang():
                while await self.reader.read(65536):
                    pass
                raise _Closed
            case Dribble(text):
                for octet in f"{text}\r\n".encode():
                    await self.say(bytes([octet]))
                    await asyncio.sleep(0)
                return text[:1] == right[:1]
            case Wait(seconds):
                await asyncio.sleep(seconds)
        if right:
            await self.say(f"{right}\r\n".encode())
        return True

    async def say(self, octets: bytes) -> None:
        self.writer.write(octets)
        await self.writer.drain()

    async def line(self) -> str:
        while b"\n" not in self.buffer:
            await self.fill()
        line, _, self.buffer = self.buffer.partition(b"\n")
        if not line.endswith(b"\r") or b"\r" in line[:-1] or b"\0" in line:
            self.sink.violations.append(f"bare LF, CR or NUL in {line[:40]!r}")
        if self.buffer and "PIPELINING" not in self.sink.extensions:
            self.sink.violations.append(f"pipelining though not offered: {line[:40]!r}")
        return line.removesuffix(b"\r").decode()

    async def content(self) -> bytes:
        """Read to CRLF.CRLF and undo the dots."""
        data = bytearray(b"\r\n" + self.buffer)
        seen = 0
        while (end := data.find(b"\r\n.\r\n", max(0, seen - 4))) < 0:
            seen = len(data)
            self.buffer = b""
            await self.fill()
            data += self.buffer
        self.buffer = bytes(data[end + 5 :])
        if re.search(rb"(?<!\r)\n|\r(?!\n)", data[:end]):
            self.sink.violations.append("bare CR or LF in the content")
        lines = bytes(data[: end + 2]).replace(b"\r\n.", b"\r\n")
        return lines[2:]

    async def fill(self) -> None:
        data = await self.reader.read(65536)
        if not data:
            raise _Closed
        self.buffer += data


def _parse_path(line: str) -> tuple[str, list[str]]:
    match = re.fullmatch(r"[A-Z]+ (?:FROM|TO):<(.*?)>(?: (.*))?", line, re.IGNORECASE)
    assert match is not None, line
    return match[1], match[2].split(" ") if match[2] else []
