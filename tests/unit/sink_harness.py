"""An event sink over a store that fails on demand, and what it published."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from relay.events.event import Event, Kind
from relay.events.event_line import encode_event
from relay.events.ports import RejectedError, StoreError
from relay.events.sink import EventSink
from relay.events.spool import Spool


class Store:
    """An event store in memory that can be told to fail or to keep everybody waiting."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.batches = 0
        self.down = False
        self.faulty = False
        self.poison: set[int] = set()
        self.again: list[bool] = []
        self.open = asyncio.Event()
        self.open.set()

    async def record(self, events: Sequence[Event], *, again: bool = False) -> Sequence[Event]:
        await self.open.wait()
        self.again.append(again)
        if any(event.number in self.poison for event in events):
            raise RejectedError("out of range")
        if self.faulty:
            raise RuntimeError("a fault nobody foresaw")
        if self.down:
            raise StoreError("database is locked")
        fresh = [one for one in events if not (again and one in self.events)]
        self.events.extend(fresh)
        self.batches += 1
        return fresh


class Watched:
    """A sink with what it published and logged."""

    def __init__(self, folder: Path, store: Store | None, **options: Any) -> None:
        self.published: list[Event] = []
        self.lines: list[tuple[str, dict[str, object]]] = []
        self.spool = options.pop("spool", None) or Spool(folder)
        self.sink = EventSink(
            store,
            self.spool,
            self.published.extend,
            log=lambda line, **fields: self.lines.append((line, fields)),
            **{"gather": 0.0, "retry": 0.02, "peak": 10_000, **options},
        )

    @property
    def line_names(self) -> list[str]:
        return [line for line, _ in self.lines]


@asynccontextmanager
async def running(folder: Path, store: Store | None, **options: Any) -> AsyncIterator[Watched]:
    watched = Watched(folder, store, **options)
    await watched.sink.start()
    try:
        yield watched
    finally:
        await watched.sink.close()


def event(number: int) -> Event:
    return Event(Kind.OPEN, 1000.0 + number, "0ABCDFGHJKLMNP", number, data={"id": f"{number:016x}"})


EVENTS = [event(number) for number in range(1000)]


def lines(*events: Event) -> bytes:
    return b"".join(map(encode_event, events))


def by_number(events: Sequence[Event]) -> list[Event]:
    return sorted(events, key=lambda one: one.number)
