"""A webhook that is far behind catches up in pages, without repeats. RELAY_TEST_BEHIND=100000 takes a minute."""

import os
from pathlib import Path

import pytest

from relay.events.event import Event, Kind
from relay.storage.sqlite.store import SqliteStore
from tests.contract.values import NOW
from tests.servers.webhook_harness import WebhookHarness, enqueue, invoice
from tests.servers.webhook_receiver import Receiver

BEHIND = int(os.environ.get("RELAY_TEST_BEHIND", "20000"))


@pytest.mark.slow
async def test_a_webhook_that_is_far_behind_catches_up(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "relay.db", now=NOW)
    await enqueue(store, invoice())
    async with Receiver() as receiver:
        harness = WebhookHarness(store, receiver.url, format="sendgrid", batch=500)
        async with harness.posting():
            numbers = range(BEHIND)
            for some in _batches(numbers):
                await store.events.record(
                    [Event(Kind.OPEN, NOW + number / 1000, "Q1", 0, "a@x.test", {"id": str(number)}) for number in some]
                )
            assert await store.feed.behind(harness.sender.cursor.state.position, BEHIND + 1) == BEHIND
            await harness.rounds()
            times = [event["sg_event_id"] for post in receiver.posts for event in post.json]
            assert len(times) == len(set(times)) == BEHIND
            assert len(receiver.posts) >= BEHIND / 500
            assert await store.feed.behind(harness.sender.cursor.state.position, 10) == 0
    await store.close()


def _batches(numbers: range) -> list[range]:
    return [numbers[start : start + 1000] for start in range(0, len(numbers), 1000)]
