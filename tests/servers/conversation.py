"""One connection of the sink, from the greeting to the end."""

import asyncio
import base64
import re
import ssl
from typing import Protocol

from tests.servers.actions import Action, Dribble, Drop, Hang, Received, Reset, Say, Wait


class Closed(Exception):
    """The connection is over."""


class Keeper(Protocol):
    """What a conversation needs of its sink."""

    name: str
    extensions: tuple[str, ...]
    tls: ssl.SSLContext | None
    implicit: bool
    messages: list[Received]
    commands: list[str]
    violations: list[str]
    silent: asyncio.Event
    tokens: set[str] | None

    def action(self, moment: str) -> Action | None: ...

    def keep(self, message: Received) -> None: ...


class Conversation:
    def __init__(self, sink: Keeper, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
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
        if words[1].upper() in ("XOAUTH2", "OAUTHBEARER"):
            await self.on_token(words[1].upper(), base64.b64decode(words[2]).decode())
            return
        if words[1].upper() == "PLAIN":
            self.login = base64.b64decode(words[2]).decode().replace("\0", ":").lstrip(":")
        else:
            user = base64.b64decode(words[2]).decode()
            await self.say(b"334 UGFzc3dvcmQ6\r\n")
            self.login = f"{user}:{base64.b64decode(await self.line()).decode()}"
        await self.answer("AUTH", "235 2.7.0 welcome")

    async def on_token(self, mechanism: str, response: str) -> None:
        """Take a token that is in `tokens`, else send the error of RFC 7628 and refuse after the answer to it."""
        place = r"(?:host=[^\x01]*\x01port=\d+\x01)?"
        found = re.fullmatch(rf"(?:user|n,a)=([^\x01]*?),?\x01{place}auth=Bearer (.+)\x01\x01", response)
        assert found is not None, response
        self.login = f"{mechanism} {found[1]}:{found[2]}"
        if self.sink.tokens is None or found[2] in self.sink.tokens:
            await self.answer("AUTH", "235 2.7.0 welcome")
            return
        error = base64.b64encode(b'{"status": "401", "schemes": "bearer", "scope": "https://mail.google.com/"}')
        await self.say(b"334 " + error + b"\r\n")
        if await self.line() != ("AQ==" if mechanism == "OAUTHBEARER" else ""):
            self.sink.violations.append(f"wrong answer to the error of {mechanism}")
        await self.answer("refused token", "535 5.7.8 Username and Password not accepted")

    async def on_mail(self, line: str) -> None:
        if not self.helo:
            self.sink.violations.append("MAIL before EHLO")
        if self.message is not None:
            self.sink.violations.append("MAIL inside a transaction")
        path, parameters = _parse_path(line)
        if self.sink.tokens is not None and self.login.rpartition(":")[2] not in self.sink.tokens:
            await self.say(b"530 5.7.57 Client not authenticated to send mail\r\n")
            return
        if await self.answer("MAIL", "250 2.1.0 ok"):
            self.message = Received(
                self.number, path, [], b"", parameters, helo=self.helo, tls=self.secure, login=self.login
            )

    async def on_rcpt(self, line: str) -> None:
        if self.message is None:
            await self.say(b"503 5.5.1 MAIL first\r\n")
            return
        path, parameters = _parse_path(line)
        if await self.answer(f"RCPT {path}", "250 2.1.5 ok"):
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
                    raise Closed
                return action.octets[:1] == right[:1].encode()
            case Drop():
                raise Closed
            case Reset():
                self.writer.transport.abort()
                raise Closed
            case Hang():
                self.sink.silent.set()
                try:
                    while await self.reader.read(65536):
                        pass
                finally:
                    self.sink.silent.clear()
                raise Closed
            case Dribble(text):
                for octet in f"{text}\r\n".encode():
                    await self.say(bytes([octet]))
                    await asyncio.sleep(0)
                return text[:1] == right[:1]
            case Wait(seconds):
                self.sink.silent.set()
                await asyncio.sleep(seconds)
                self.sink.silent.clear()
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
            raise Closed
        self.buffer += data


def _parse_path(line: str) -> tuple[str, list[str]]:
    match = re.fullmatch(r"[A-Z]+ (?:FROM|TO):<(.*?)>(?: (.*))?", line, re.IGNORECASE)
    assert match is not None, line
    return match[1], match[2].split(" ") if match[2] else []
