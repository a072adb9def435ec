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


async def test_after_a_restore_from_a_dump_old_events_are_before_new_ones_and_cursors_go_on(
    postgres: str, tmp_path: Path
) -> None:
    store = await PostgresStore.open(postgres, tmp_path, now=NOW)
    await store.queue.enqueue(accepted("Q1"))
    end = (await store.feed.read(Position(), 10)).end
    await store.queue.enqueue(accepted("Q2"))
    await store.webhooks.begin("crm", Position(end.transaction + 10**9, end.row), NOW)
    await store.close()
    with psycopg.connect(
        postgres
    ) as raw:  # As on a server whose transactions have lower numbers than those of the dump.
        raw.execute("UPDATE events SET xid = (xid::text::bigint + 1000000000)::text::xid8")

    restored = await PostgresStore.open(postgres, tmp_path, now=NOW + 1)
    try:
        await restored.queue.enqueue(accepted("Q3"))
        page = await restored.feed.read(Position(), 10)
        assert [event.event.queue_id for event in page.events] == ["Q1", "Q2", "Q3"]
        (webhook,) = await restored.webhooks.states()
        ahead = await restored.feed.read(webhook.position, 10)
        assert [event.event.queue_id for event in ahead.events][-2:] == ["Q2", "Q3"]
    finally:
        await restored.close()


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
