"""Pauses outlast a restart, are shared by nodes, and end by an operator, by their time, or by other settings."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from relay.mail.reply import Reply
from relay.queue.entry import Entry, State
from relay.queue.message import Message, NewMessage
from relay.queue.outcome import Deferred
from relay.queue.pause import Pause
from relay.queue.ports import EntryQuery
from relay.queue.runner import Runner
from relay.queue.shared_pauses import SharedPauses
from tests.unit.dispatch_harness import LOGIN, PROVIDERS, enqueue, states, use
from tests.unit.queue_harness import CONTENT, NOW, OK, Harness, running, settings

PROVIDER = "provider:newsletter"


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[Harness]:
    async with running(tmp_path, settings(**PROVIDERS)) as started:
        yield started


def other(harness: Harness, **changed: object) -> SharedPauses:
    """Another process over the same store: a later start, or another node."""
    return Runner(replace(harness.context, **changed), asyncio.Event(), Path()).shared_pauses  # type: ignore[arg-type]


async def paused(harness: Harness) -> None:
    """Let the provider refuse the account."""
    use(harness, newsletter=LOGIN)
    await enqueue(harness, 1)
    await states(harness, {State.DELIVERED: 1})
    assert set(harness.runner.shared_pauses.lanes()) == {PROVIDER}


async def test_a_restart_does_not_test_a_refused_account_anew(harness: Harness) -> None:
    await paused(harness)
    before = harness.runner.shared_pauses.lanes()
    harness.now += 600
    later = other(harness)
    await later.load()
    assert later.lanes() == before
    assert before[PROVIDER].until == NOW + 900
    harness.now += 300
    assert later.lanes() == {}


async def test_after_a_restart_with_other_settings_it_is_tried_at_once(harness: Harness) -> None:
    await paused(harness)
    await harness.store.queue.enqueue(waiting(PROVIDER, attempts=1))
    harness.now += 1
    later = other(harness, provider_digest=lambda name: "the new password")
    await later.load()
    assert later.lanes() == {}
    assert await harness.store.pauses.pauses(harness.now) == []
    ((_, entry),) = await harness.store.queue.entries(EntryQuery(lane=PROVIDER))
    assert entry.next_attempt_at == harness.now


async def test_nodes_share_pauses_and_their_end(harness: Harness) -> None:
    node = other(harness)
    await node.load()
    await paused(harness)
    assert node.lanes() == {}
    await node.refresh()
    assert set(node.lanes()) == {PROVIDER}

    await node.resume(PROVIDER)
    assert set(harness.runner.shared_pauses.lanes()) == {PROVIDER}
    await harness.runner.shared_pauses.refresh()
    assert harness.runner.shared_pauses.lanes() == {}


async def test_a_node_with_other_settings_does_not_wait_for_the_pause_of_the_old_ones(harness: Harness) -> None:
    node = other(harness, provider_digest=lambda name: "the new password")
    await paused(harness)
    await node.refresh()
    assert node.lanes() == {}
    await harness.runner.shared_pauses.refresh()
    assert set(harness.runner.shared_pauses.lanes()) == {PROVIDER}


async def test_a_lane_that_cannot_be_reached_is_the_finding_of_one_node(harness: Harness) -> None:
    down = Deferred(Reply(451, "4.4.1", "no route to host"), lane_down=True)
    use(harness, newsletter=down)
    await enqueue(harness, 1)
    await states(harness, {State.DELIVERED: 1})
    assert set(harness.runner.shared_pauses.lanes()) == {PROVIDER}
    assert await harness.store.pauses.pauses(harness.now) == []
    assert await harness.runner.shared_pauses.resume(PROVIDER) == 0
    assert harness.runner.shared_pauses.lanes() == {}


async def test_the_pause_of_a_destination_is_kept_too(harness: Harness) -> None:
    node = other(harness)
    await harness.store.pauses.add([Pause("mx:x.test", NOW, NOW + 900, "554 5.7.1 blocked", "blocked")])
    await node.refresh()
    assert {name: pause.why for name, pause in node.lanes().items()} == {"mx:x.test": "554 5.7.1 blocked"}


async def test_a_pause_moves_with_a_clock_that_is_set(harness: Harness) -> None:
    await paused(harness)
    harness.now += 100_000
    harness.clock_set_by += 100_000
    use(harness, newsletter=OK)
    await enqueue(harness, 2)
    await states(harness, {State.DELIVERED: 2})
    assert harness.runner.shared_pauses.lanes()[PROVIDER].until == NOW + 100_900
    node = other(harness)
    await node.load()
    assert node.lanes()[PROVIDER].until == NOW + 100_900


def waiting(lane: str, attempts: int = 0, release_at: float = 0.0) -> NewMessage:
    message = Message(f"0000000000W{attempts}{int(release_at > 0)}0", NOW, "app@acme.test")
    due = release_at or NOW + 3600
    entry = Entry(message.queue_id, 0, "a@x.test", lane, NOW, NOW + 1e6, due, attempts=attempts, release_at=release_at)
    return NewMessage(message, CONTENT, (entry,))


async def test_ending_a_pause_makes_its_deferred_entries_due(harness: Harness) -> None:
    await paused(harness)
    until = harness.runner.shared_pauses.lanes()[PROVIDER].until
    for message in (waiting(PROVIDER), waiting(PROVIDER, attempts=2), waiting(PROVIDER, release_at=until)):
        await harness.store.queue.enqueue(message)
    use(harness, newsletter=OK)
    harness.now += 10
    assert await harness.runner.shared_pauses.resume(PROVIDER) == 2
    assert await harness.runner.shared_pauses.resume(PROVIDER) is None
    await states(harness, {State.DELIVERED: 3, State.WAITING: 1})
