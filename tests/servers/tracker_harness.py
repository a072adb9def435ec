"""A tracker with a real server and a real spool, for tests with real sockets."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from relay.events.event import Event
from relay.events.ports import StoreError
from relay.events.sink import EventSink
from relay.events.spool import Spool
from relay.http_tracker import Tracker
from relay.listening_sockets import listen
from relay.rewrite.tokens import Keyring, Kind, Token, new_key, parse_keyring, sign_token
from tests.servers.waiting import PATIENCE, until

KEYS = parse_keyring([new_key(b"k" * 32, "k1")])

NOW = 1_764_000_000.5

QUEUE_ID = "0ABCDFGHJKLMNP"

TARGET = "https://shop.example/p?a=1&b=two%20words&c=%C3%BC&d=<>\"'{}|#frag"

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


class Store:
    """An event store in memory that can be down."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.down = False

    async def record(self, events: Sequence[Event], *, again: bool = False) -> Sequence[Event]:
        if self.down:
            raise StoreError("database is locked")
        fresh = [one for one in events if not (again and one in self.events)]
        self.events.extend(fresh)
        return fresh


@dataclass
class Answer:
    """A response as it came over the wire."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        found = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(found) < 2, (name, found)
        return found[0] if found else None


@dataclass
class Served:
    """A running tracker with its sink and store."""

    tracker: Tracker
    sink: EventSink
    store: Store
    spool: Path
    keys: list[Keyring]
    checks: dict[str, bool]
    source: str = "127.0.0.1"
    open_writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def connect(self, source: str = "127.0.0.1") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.tracker.port, local_addr=(source, 0))
        self.open_writers.append(writer)
        return reader, writer

    async def exchange(self, data: bytes, *, end: bool = False) -> Answer:
        """Send octets and read one answer; `end` closes our side after sending."""
        reader, writer = await self.connect()
        writer.write(data)
        if end:
            writer.write_eof()
        async with asyncio.timeout(PATIENCE):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii").split("\r\n")
            headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in head[1:-2])]
            answer = Answer(int(head[0].split()[1]), headers, b"")
            if not data.startswith(b"HEAD"):
                answer.body = await reader.readexactly(int(answer.header("Content-Length") or 0))
        return answer

    async def ask(self, path: str, method: str = "GET", body: bytes = b"", **headers: str) -> Answer:
        fields = {"Host": "t.example", "User-Agent": FIREFOX, **{k.replace("_", "-"): v for k, v in headers.items()}}
        if body:
            fields["Content-Length"] = str(len(body))
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return await self.exchange(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)

    async def events(self, count: int) -> list[Event]:
        """Return what the store has once there are so many events."""
        await until(lambda: len(self.store.events) >= count)
        return self.store.events


Serve = Callable[..., Any]


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    """Return a function that starts a tracker with the options given."""
    started: list[Served] = []

    async def start(store: Store | None = None, *, spool: Spool | None = None, **options: Any) -> Served:
        store = store or Store()
        keys, checks = [KEYS], {"store": True}
        sink = EventSink(store, spool or Spool(tmp_path), lambda events: None, gather=0.0, retry=0.02)
        await sink.start()
        tracker = Tracker(lambda: keys[0], sink, checks=lambda: checks, clock=lambda: NOW, **options)
        await tracker.start(await listen(("127.0.0.1",), 0))
        started.append(Served(tracker, sink, store, tmp_path, keys, checks))
        return started[-1]

    yield start
    for served in started:
        for writer in served.open_writers:
            writer.close()
        await served.tracker.stop()
        await served.sink.close()


def path(kind: Kind, target: str = "", recipient: int = 3) -> str:
    return f"/{kind}/{sign_token(KEYS, Token(kind, QUEUE_ID, recipient, target))}"


OPEN, CLICK, LEAVE = path(Kind.OPEN), path(Kind.CLICK, TARGET), path(Kind.UNSUBSCRIBE)

ONE_CLICK = b"List-Unsubscribe=One-Click"
