"""Which way mail leaves, over a real store: pauses of providers, and their fallbacks."""

import asyncio
from pathlib import Path

import pytest

from relay.events.event import Kind
from relay.mail.reply import Reply
from relay.queue.entry import State
from relay.queue.outcome import Deferred, Outcome
from tests.unit.dispatch_harness import ALONE, LOGIN, MAYBE, PROVIDERS, SUSPENDED, UNREACHABLE, enqueue, states, use
from tests.unit.queue_harness import NOW, running, settings


@pytest.mark.parametrize("failure", [LOGIN, UNREACHABLE, SUSPENDED])
async def test_mail_of_a_provider_that_fails_takes_the_fallback_at_once(tmp_path: Path, failure: Outcome) -> None:
    async with running(tmp_path, settings(**PROVIDERS)) as harness:
        delivery = use(harness, newsletter=failure)
        await enqueue(harness, 1)
        (entry,) = await states(harness, {State.DELIVERED: 1})
        assert entry.lane == "provider:backup"
        assert [lane for lane, _ in delivery.seen] == ["provider:newsletter", "provider:backup"]
        kinds = [(event.kind, event.data["lane"]) for event in harness.events]
        assert kinds == [
            (Kind.PROCESSED, "provider:newsletter"),
            (Kind.DEFERRED, "provider:newsletter"),
            (Kind.DELIVERED, "provider:backup"),
        ]
        why = f"provider newsletter is paused: {failure.reply}; sent by backup"
        assert [event.data.get("way") for event in harness.events] == [None, why, why]
        await enqueue(harness, 2)
        await states(harness, {State.DELIVERED: 2})
        assert delivery.seen[2:] == [("provider:backup", "u2@x.test")]
        assert [event.data.get("way") for event in harness.events[3:]] == [why, why]
        assert [lane for lane, _ in harness.raised] == ["provider:newsletter"]


async def test_a_greeting_that_refuses_relaying_alerts_with_the_category_of_its_events(tmp_path: Path) -> None:
    denied = Deferred(Reply(421, "4.7.1", "Relay access denied"), "[127.0.0.1]:587", lane_down=True)
    async with running(tmp_path, settings(**PROVIDERS)) as harness:
        use(harness, newsletter=denied)
        await enqueue(harness, 1, ALONE)
        await harness.until_settled()
        categories = [event.data["category"] for event in harness.events if event.kind == Kind.DEFERRED]
        assert harness.raised == [("provider:newsletter", category) for category in categories] != []
        assert categories == ["credentials"]


async def test_without_a_fallback_mail_waits_and_the_pause_ends(tmp_path: Path) -> None:
    async with running(tmp_path, settings(**PROVIDERS)) as harness:
        delivery = use(harness, newsletter=LOGIN)
        await enqueue(harness, 1, ALONE)
        (entry,) = await harness.until_settled()
        assert (entry.state, entry.lane) == (State.WAITING, "provider:newsletter")
        assert harness.raised == [("provider:newsletter", "credentials")]
        delivery.answers.clear()
        harness.now = entry.next_attempt_at
        await enqueue(harness, 2, ALONE)
        await harness.until_settled()
        assert len(delivery.seen) == 1
        harness.now = NOW + 900
        for one in await harness.entries():
            harness.now = max(harness.now, one.next_attempt_at)
        harness.runner.wake()
        await states(harness, {State.DELIVERED: 2})


async def test_a_pause_sends_one_alert_however_many_fail_together(tmp_path: Path) -> None:
    async with running(tmp_path, settings(**PROVIDERS)) as harness:
        delivery = use(harness, newsletter=LOGIN)
        delivery.gates = {f"u{number}@x.test": asyncio.Event() for number in range(5)}
        for number in range(5):
            await enqueue(harness, number)

        async def under_way() -> bool:
            return len(delivery.seen) == 5

        await harness.until(under_way)
        for gate in delivery.gates.values():
            gate.set()
        await states(harness, {State.DELIVERED: 5})
        assert len(harness.raised) == 1


async def test_a_success_already_in_flight_does_not_end_the_pause(tmp_path: Path) -> None:
    async with running(tmp_path, settings(**PROVIDERS)) as harness:
        delivery = use(harness)
        slow = delivery.gates["u1@x.test"] = asyncio.Event()
        await enqueue(harness, 1)

        async def under_way() -> bool:
            return len(delivery.seen) == 1

        await harness.until(under_way)
        harness.now += 1
        delivery.answers["provider:newsletter"] = LOGIN
        await enqueue(harness, 2)
        await states(harness, {State.DELIVERED: 1, State.ACTIVE: 1})
        slow.set()
        await states(harness, {State.DELIVERED: 2})
        assert "provider:newsletter" in harness.runner.shared_pauses.lanes()
        harness.now += 1
        await enqueue(harness, 3)
        await states(harness, {State.DELIVERED: 3})
        assert delivery.seen[-1] == ("provider:backup", "u3@x.test")


async def test_a_resumed_provider_is_tried_at_once(tmp_path: Path) -> None:
    async with running(tmp_path, settings(**PROVIDERS)) as harness:
        delivery = use(harness, newsletter=LOGIN)
        await enqueue(harness, 1)
        await states(harness, {State.DELIVERED: 1})
        assert set(harness.runner.shared_pauses.lanes()) == {"provider:newsletter"}
        delivery.answers.clear()
        assert await harness.runner.shared_pauses.resume("provider:newsletter") is not None
        assert await harness.runner.shared_pauses.resume("provider:newsletter") is None
        await enqueue(harness, 2)
        await states(harness, {State.DELIVERED: 2})
        assert delivery.seen[-1] == ("provider:newsletter", "u2@x.test")


async def test_when_all_providers_fail_mail_waits_by_the_schedule(tmp_path: Path) -> None:
    async with running(tmp_path, settings(**PROVIDERS)) as harness:
        delivery = use(harness, newsletter=UNREACHABLE, backup=UNREACHABLE)
        await enqueue(harness, 1)

        async def both_tried() -> bool:
            (entry,) = await harness.entries()
            return entry.attempts == 2 and entry.state is State.WAITING

        await harness.until(both_tried)
        await asyncio.sleep(0.05)
        assert len(delivery.seen) == 2
        (entry,) = await harness.entries()
        assert entry.next_attempt_at == NOW + 300


async def test_an_uncertain_entry_is_not_rerouted_at_once(tmp_path: Path) -> None:
    async with running(tmp_path, settings(**PROVIDERS)) as harness:
        delivery = use(harness, newsletter=MAYBE)
        await enqueue(harness, 1)
        (entry,) = await harness.until_settled()
        assert (entry.lane, entry.uncertain, len(delivery.seen)) == ("provider:newsletter", True, 1)


async def test_a_provider_that_was_removed_from_the_settings_is_skipped(tmp_path: Path) -> None:
    async with running(tmp_path, settings(provider=PROVIDERS["provider"][1:])) as harness:
        delivery = use(harness)
        await enqueue(harness, 1)
        (entry,) = await states(harness, {State.DELIVERED: 1})
        assert entry.lane == "provider:backup"
        assert [lane for lane, _ in delivery.seen] == ["provider:backup"]


async def test_a_fallback_decision_survives_a_crash(tmp_path: Path) -> None:
    """The lane is in the entry: the next start uses the fallback without trying the first provider."""
    async with running(tmp_path, settings(**PROVIDERS)) as harness:
        delivery = use(harness, newsletter=LOGIN)
        delivery.answers["provider:backup"] = Deferred(Reply(451, "4.3.2", "busy"), "[127.0.0.1]:588")
        await enqueue(harness, 1)

        async def tried_both() -> bool:
            return [one.attempts for one in await harness.entries()] == [2]

        await harness.until(tried_both)
    async with running(tmp_path, settings(**PROVIDERS)) as harness:
        harness.now += 3600
        delivery = use(harness)
        harness.runner.wake()
        await states(harness, {State.DELIVERED: 1})
        assert [lane for lane, _ in delivery.seen] == ["provider:backup"]


async def test_an_uncertain_entry_keeps_its_provider_when_that_is_paused_meanwhile(tmp_path: Path) -> None:
    async with running(tmp_path, settings(**PROVIDERS)) as harness:
        delivery = use(harness, newsletter=LOGIN)
        slow = delivery.gates["u1@x.test"] = asyncio.Event()
        delivery.special["u1@x.test"] = MAYBE
        await enqueue(harness, 1)

        async def under_way() -> bool:
            return len(delivery.seen) == 1

        await harness.until(under_way)
        await enqueue(harness, 2)
        await states(harness, {State.DELIVERED: 1, State.ACTIVE: 1})
        slow.set()
        entries = await states(harness, {State.DELIVERED: 1, State.WAITING: 1})
        (waiting,) = (one for one in entries if one.state is State.WAITING)
        assert (waiting.lane, waiting.uncertain) == ("provider:newsletter", True)
        assert waiting.next_attempt_at > harness.now
