"""A running SMTP server with a handler that keeps messages, and a client that sends exactly the given bytes."""

import asyncio
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from relay.config.secret_hash import hash_secret
from relay.config.settings import Listener, Settings
from relay.events.ports import StoreError
from relay.mail.reply import Reply
from relay.mail.transaction import Envelope, Recipient, Session, Transaction
from relay.smtp.context import ServerResources
from relay.smtp_in import SmtpServer
from tests.servers.waiting import PATIENCE

ACCEPTED = Reply(250, "2.0.0", "Ok: queued as X")

CREDENTIALS = {"ann": {"secret_hash": hash_secret("secret", bytes(16))}}
"""One credential: name `ann`, secret `secret`."""


@dataclass
class RecordingHandler:
    """Keeps every message. `reply` or `raises` replace the answer to the final dot, `gate` delays it."""

    taken: list[Transaction] = field(default_factory=list)
    reply: Reply = ACCEPTED
    raises: Exception | None = None
    gate: asyncio.Event | None = None
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    senders_refused: dict[str, Reply] = field(default_factory=dict)
    recipients_refused: dict[str, Reply] = field(default_factory=dict)

    def check_mail(self, session: Session, envelope: Envelope) -> Reply | None:
        return self.senders_refused.get(envelope.reverse_path)

    def check_recipient(self, session: Session, envelope: Envelope, recipient: Recipient) -> Reply | None:
        return self.recipients_refused.get(recipient.address)

    async def accept_message(self, transaction: Transaction) -> Reply:
        self.begun.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.raises is not None:
            raise self.raises
        self.taken.append(transaction)
        return self.reply


class Time:
    """A clock that stands still until it is moved, and pauses that move it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


class Client:
    """A raw SMTP client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, port: int, context: ssl.SSLContext | None = None) -> "Client":
        name = None if context is None else "relay.test"
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)
        return cls(reader, writer)

    def send(self, octets: bytes) -> None:
        self.writer.write(octets)

    async def reply(self) -> str:
        """Return the next reply, its lines joined by newlines, without line ends."""
        lines: list[str] = []
        while not lines or lines[-1][3:4] == "-":
            raw = await asyncio.wait_for(self.reader.readline(), PATIENCE)
            assert raw.endswith(b"\r\n"), f"the connection ended after {lines}, {raw!r}"
            lines.append(raw[:-2].decode())
        return "\n".join(lines)

    async def say(self, *commands: str) -> str:
        """Send commands one after another, and return the reply to the last."""
        reply = ""
        for command in commands:
            self.send(f"{command}\r\n".encode())
            reply = await self.reply()
        return reply

    async def replies(self, count: int) -> list[str]:
        return [await self.reply() for _ in range(count)]

    async def ended(self) -> bool:
        """Tell whether the server has closed, and said nothing more."""
        try:
            return await asyncio.wait_for(self.reader.read(1), PATIENCE) == b""
        except ConnectionError:
            return True

    async def start_tls(self, context: ssl.SSLContext) -> None:
        assert (await self.say("STARTTLS")).startswith("220 ")
        await self.writer.start_tls(context, server_hostname="relay.test")
        self.reader._transport = self.writer.transport  # type: ignore[attr-defined]

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except OSError:
            pass


@dataclass
class Harness:
    """Everything a test needs of the running server."""

    server: SmtpServer
    handler: RecordingHandler
    resources: ServerResources
    time: Time
    lines: list[tuple[str, dict[str, Any]]]
    store_errors: list[StoreError]
    clients: list[Client] = field(default_factory=list)

    async def connect(self, context: ssl.SSLContext | None = None) -> Client:
        """Return a client that has not read its greeting."""
        self.clients.append(await Client.connect(self.server.port, context))
        return self.clients[-1]

    async def greeted(self, *commands: str) -> Client:
        """Return a client that has said EHLO and these commands."""
        client = await self.connect()
        assert (await client.reply()).startswith("220 ")
        await client.say("EHLO client.test", *commands)
        return client

    async def in_data(self) -> Client:
        """Return a client that may send its content now."""
        client = await self.greeted("MAIL FROM:<a@app.test>", "RCPT TO:<b@sink.test>")
        assert (await client.say("DATA")).startswith("354 ")
        return client

    def logged(self, name: str) -> list[dict[str, Any]]:
        return [fields for line, fields in self.lines if line == name]


@asynccontextmanager
async def serving(
    folder: Path,
    context: ssl.SSLContext | None = None,
    resources: ServerResources | None = None,
    listener: dict[str, Any] | None = None,
    **sections: Any,
) -> AsyncIterator[Harness]:
    """Run a server on a free port of loopback, with these sections of settings."""
    server_section = {"hostname": "relay.test", "data_dir": str(folder)}
    settings = Settings.model_validate({"server": server_section, "credentials": CREDENTIALS, **sections})
    handler, time, lines = RecordingHandler(), Time(), []
    store_errors: list[StoreError] = []
    resources = resources or ServerResources(folder)
    pause: Callable[[float], Awaitable[None]] = time.pause

    def log(name: str, **fields: Any) -> None:
        lines.append((name, fields))

    server = SmtpServer(
        Listener.model_validate({"name": "in", "address": "127.0.0.1:0", **(listener or {})}),
        lambda: settings,
        handler,
        ssl_context=context,
        log=log,
        on_store_error=store_errors.append,
        resources=resources,
        clock=time,
        pause=pause,
    )
    await server.start()
    harness = Harness(server, handler, resources, time, lines, store_errors)
    try:
        yield harness
    finally:
        for client in harness.clients:
            await client.close()
        await server.stop(5)


def base64(text: str) -> str:
    """Return the text as AUTH sends it."""
    return b64encode(text.encode()).decode()
