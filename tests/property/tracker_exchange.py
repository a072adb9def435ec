"""The tracker in memory: octets in, with the fast path or without it, and its answers and events out."""

import asyncio
import re
from collections.abc import Sequence
from ipaddress import ip_network
from typing import Any

from relay.events.event import Event
from relay.http_tracker import Tracker
from relay.listening_sockets import listen
from relay.tracker.link_blocks import Block, LinkBlocks
from tests.property.tracker_requests import KEYS, Piece

BLOCKS = LinkBlocks([Block("host", "bad.test")])


class Sink:
    """Keeps events in memory."""

    behind = False

    def __init__(self) -> None:
        self.events: list[Event] = []

    def put(self, *events: Event) -> None:
        self.events += events

    async def keep(self, event: Event) -> bool:
        self.events.append(event)
        return True


class MemoryTransport(asyncio.Transport):
    """The server side of a connection; written octets are kept."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.7", 4711)})
        self.written = bytearray()
        self.closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closing, "written after the end"
        self.written += data

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    abort = close

    def pause_reading(self) -> None:
        """Nothing is read."""

    resume_reading = pause_reading


async def exchange(pieces: Sequence[Piece], trusted: Sequence[str], *, fast: bool, pixel_delay: float = 0.0) -> Any:
    """Return the octets of the answers but for dates and ids, whether the connection was ended, and the events."""
    sink, transport = Sink(), MemoryTransport()
    tracker = Tracker(
        lambda: KEYS,
        sink,  # type: ignore[arg-type]
        trusted_proxies=[ip_network(one) for one in trusted],
        clock=lambda: 1_764_000_000.5,
        pixel_delay=lambda: pixel_delay,
        blocks=lambda: BLOCKS,
    )
    await tracker.start(await listen(("127.0.0.1",), 0))
    assert tracker._server is not None
    connection = tracker._server()
    if not fast:
        connection._fast_path = None
    connection.connection_made(transport)
    await run_loop()
    for data, settled in pieces:
        if not transport.closing:
            connection.data_received(data)
        if settled:
            await run_loop()
    await run_loop()
    if pixel_delay:
        await asyncio.sleep(2 * pixel_delay)
        await run_loop()
    written, ended = bytes(transport.written), transport.closing
    connection.connection_lost(None)
    await tracker.stop()
    events = [(one, {key: value for key, value in one.data.items() if key != "id"}) for one in sink.events]
    assert all(re.fullmatch("[0-9a-f]{16}", str(one.data["id"])) for one in sink.events)
    seen = [(one.kind, one.at, one.queue_id, one.number, one.address, list(data.items())) for one, data in events]
    return re.sub(rb"\r\nDate: [^\r]{29}\r\n", b"\r\nDate\r\n", written), ended, seen


async def run_loop() -> None:
    """Run the event loop often enough for any request to be answered."""
    for _ in range(60):
        await asyncio.sleep(0)


def both(pieces: Sequence[Piece], trusted: Sequence[str] = ()) -> tuple[Any, Any]:
    async def run() -> tuple[Any, Any]:
        return await exchange(pieces, trusted, fast=True), await exchange(pieces, trusted, fast=False)

    return asyncio.run(run())
