"""Events as a stream (`text/event-stream`), in the form of the HTML standard, section 9.2."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress

from relay.webhooks.feed import EventFeed, Position, StoredEvent

PAGE = 200
"""Events read at once."""

POLL = 1.0
"""Seconds between two reads of events that another node stored."""

KEEP_ALIVE = 15.0
"""Seconds without an event, after which the position is sent: connections that are silent get closed."""


async def follow(
    feed: EventFeed,
    after: Position,
    passes: Callable[[StoredEvent], bool],
    gone: Callable[[], bool],
    woken: asyncio.Event,
) -> AsyncGenerator[tuple[Position, StoredEvent | None], None]:
    """Yield events with their positions until the client is gone; now and then a position alone.

    Raises StoreError and PositionError.
    """
    clock = asyncio.get_running_loop().time
    said = clock()
    while not gone():
        woken.clear()
        page = await feed.read(after, PAGE)
        after = page.end
        for one in page.events:
            if passes(one):
                said = clock()
                yield one.position, one
        if clock() - said >= KEEP_ALIVE:
            said = clock()
            yield after, None
        if not page.is_full:
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL):
                    await woken.wait()


def event_chunk(position: Position, kind: str, body: bytes) -> bytes:
    """Return one event of a stream. JSON has no line ends inside."""
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (str(position).encode(), kind.encode(), body)


def position_chunk(position: Position) -> bytes:
    """Return a position alone: clients keep it, and see no event."""
    return b"id: %s\n\n" % str(position).encode()
