"""Events on PostgreSQL: by week, made ahead, dropped whole; what has a time of no part is kept and forgotten too."""

from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from relay.events.event import Event, Kind
from relay.reports.ports import MessageQuery
from relay.storage.postgres import partitions
from relay.storage.postgres.store import PostgresStore
from tests.contract.values import NOW, accepted

WEEK = partitions.WEEK


@pytest.fixture
async def store(postgres: str, tmp_path: Path) -> AsyncIterator[PostgresStore]:
    opened = await PostgresStore.open(postgres, tmp_path, now=NOW)
    yield opened
    await opened.close()


def parts(url: str) -> dict[str, int]:
    """The parts with the number of their events."""
    with psycopg.connect(url) as raw:
        sql = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'events'::regclass"
        names = [row[0] for row in raw.execute(sql)]
        counts = {}
        for name in names:
            row = raw.execute(f"SELECT count(*) FROM {name}".encode()).fetchone()
            counts[name] = row[0] if row else 0
        return counts


def seen(at: float) -> Event:
    return Event(Kind.OPEN, at, "GONE", 0)


async def test_parts_are_made_ahead_and_named_by_their_first_day(store: PostgresStore, postgres: str) -> None:
    weeks = [partitions.name(int(NOW // WEEK) + number) for number in range(-1, partitions.AHEAD + 1)]
    assert weeks[1] == "events_20270114"
    assert set(parts(postgres)) == {"events_default", *weeks}
    await store.events.record([seen(NOW), seen(NOW + WEEK), seen(NOW + 99 * WEEK)])
    counts = parts(postgres)
    assert (counts[weeks[1]], counts[weeks[2]], counts["events_default"]) == (1, 1, 1)


async def test_what_came_before_its_part_moves_into_it(store: PostgresStore, postgres: str) -> None:
    later = NOW + 10 * WEEK
    await store.events.record([seen(later), seen(later + WEEK), seen(NOW)])
    assert await store.database.write(partitions.make_ahead(later))
    counts = parts(postgres)
    assert counts[partitions.name(int(later // WEEK))] == 1
    assert counts[partitions.name(int(later // WEEK) + 1)] == 1
    assert counts["events_default"] == 0
    assert await store.database.write(partitions.make_ahead(later))
    assert parts(postgres) == counts


async def test_a_purge_drops_parts_that_are_old_as_a_whole_and_strays(store: PostgresStore, postgres: str) -> None:
    await store.queue.enqueue(accepted("A", at=NOW))
    await store.events.record([seen(NOW), seen(NOW - 99 * WEEK), seen(NOW + 3 * WEEK)])
    this = int(NOW // WEEK)
    await store.queue.purge(NOW)
    kept = parts(postgres)
    assert partitions.name(this - 1) not in kept
    assert kept[partitions.name(this)] == 2
    assert kept["events_default"] == 0
    await store.queue.purge((this + 1) * WEEK)
    assert partitions.name(this) not in parts(postgres)
    (story,) = await store.reports.stories(MessageQuery(queue_id="A"))
    assert story.events == (), "its events are forgotten by their time; the message waits to be delivered"
    await store.events.record([seen(NOW)])
    assert parts(postgres)["events_default"] == 1
