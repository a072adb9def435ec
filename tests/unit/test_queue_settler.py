"""The start after a crash: what the delivery journal knows is settled, once, and nothing else is."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from relay.events.event import Kind
from relay.mail.reply import Reply
from relay.queue.entry import State
from relay.queue.outcome import Delivered, Outcome
from relay.queue.ports import DeliveryJob, JournalRecord
from relay.queue.settler import Recovered, Settler
from relay.storage.sqlite.store import SqliteStore
from tests.unit.queue_harness import NOW, OK, Harness, running, settings

MESSAGE = "0000000000000A"


@pytest.fixture
async def restarted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Harness]:
    """A relay that was killed after the first of two recipients was accepted, and starts again."""

    async with running(tmp_path) as harness:

        async def half(lane: str, job: DeliveryJob) -> Sequence[Outcome]:
            harness.journal.record(JournalRecord(job.message.queue_id, (0,), OK, NOW))
            await asyncio.Event().wait()
            return ()

        monkeypatch.setattr(harness.delivery, "deliver", half)
        await harness.enqueue("a@x.test", "b@x.test")

        async def under_way() -> bool:
            return [one.state for one in await harness.entries()] == [State.ACTIVE] * 2

        await harness.until(under_way)
        await asyncio.sleep(0)
        await harness.runner.stop(0.01)
    store = await SqliteStore.open(tmp_path / "relay.db", now=NOW)
    again = Harness(store, tmp_path, settings())
    yield again
    again.journal.close()
    await store.close()


async def states(harness: Harness) -> list[State]:
    return [one.state for one in await harness.entries()]


async def test_recorded_entries_are_delivered_and_the_rest_waits(restarted: Harness) -> None:
    assert list(restarted.journal_records) == [JournalRecord(MESSAGE, (0,), OK, NOW)]
    assert await Settler(restarted.context).recover(restarted.journal_records) == Recovered(waiting=1, delivered=1)
    assert await states(restarted) == [State.DELIVERED, State.WAITING]
    (delivered,) = [one for one in restarted.events if one.kind is Kind.DELIVERED]
    assert (delivered.at, delivered.data["reply"], delivered.data["recovered"]) == (NOW, str(OK.reply), "journal")


async def test_recovering_again_changes_nothing(restarted: Harness) -> None:
    await Settler(restarted.context).recover(restarted.journal_records)
    assert await Settler(restarted.context).recover(restarted.journal_records) == Recovered(0, 0)
    assert await states(restarted) == [State.DELIVERED, State.WAITING]


async def test_old_and_repeated_records_and_those_of_purged_messages_are_ignored(restarted: Harness) -> None:
    older = JournalRecord(MESSAGE, (0,), Delivered(Reply(250, "", "older"), "mx"), NOW - 60)
    gone = replace(older, queue_id="0000000000000Z")
    journal_records = [gone, older, *restarted.journal_records, JournalRecord(MESSAGE, (7,), OK, NOW)]
    assert await Settler(restarted.context).recover(journal_records) == Recovered(waiting=1, delivered=1)
    assert (await restarted.entries())[0].last_reply == OK.reply


async def test_without_records_all_entries_wait(restarted: Harness) -> None:
    assert await Settler(restarted.context).recover(()) == Recovered(waiting=2, delivered=0)
    assert await states(restarted) == [State.WAITING] * 2
