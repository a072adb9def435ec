"""The feed on PostgreSQL: a transaction that ends late hides nothing from a reader, on whatever node."""

from pathlib import Path

import psycopg

from relay.storage.postgres.store import PostgresStore
from relay.webhooks.feed import Position
from tests.contract.values import NOW, accepted

_INSERT = b"INSERT INTO events (at, kind, queue_id, number, address, data) VALUES (%s, 'open', 'QLATE', 0, '', '')"


async def test_a_transaction_that_ends_late_is_read_in_its_turn(postgres: str, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    one = await PostgresStore.open(postgres, first, now=NOW)
    two = await PostgresStore.open(postgres, second, now=NOW)
    try:
        await one.queue.enqueue(accepted("Q1"))
        with psycopg.connect(postgres) as late:
            late.execute(_INSERT, (NOW,))  # It has its row id now, and is not committed.
            await two.queue.enqueue(accepted("Q2"))
            await one.queue.enqueue(accepted("Q3"))
            page = await two.feed.read(Position(), 10)
            assert [event.event.queue_id for event in page.events] == ["Q1"]
            begun_meanwhile = await one.feed.end()
            late.commit()

        rest = await one.feed.read(page.end, 10)
        assert [event.event.queue_id for event in rest.events] == ["QLATE", "Q2", "Q3"]
        after = await two.feed.read(begun_meanwhile, 10)
        assert [event.event.queue_id for event in after.events] == ["QLATE", "Q2", "Q3"]
    finally:
        await one.close()
        await two.close()


async def test_a_transaction_that_is_rolled_back_holds_nothing_up(postgres: str, tmp_path: Path) -> None:
    store = await PostgresStore.open(postgres, tmp_path, now=NOW)
    try:
        with psycopg.connect(postgres) as late:
            late.execute(_INSERT, (NOW,))
            await store.queue.enqueue(accepted("Q2"))
            assert (await store.feed.read(Position(), 10)).events == ()
            late.rollback()
        page = await store.feed.read(Position(), 10)
        assert [event.event.queue_id for event in page.events] == ["Q2"]
    finally:
        await store.close()
