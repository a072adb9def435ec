"""Quotas of providers and identities, over a real store: slots taken, kept, and given back."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from relay.limits.window import windows
from relay.mail.reply import Reply
from relay.queue.entry import Entry, State
from relay.queue.message import Message, NewMessage
from relay.queue.outcome import Outcome, Phase, Refused
from relay.render.message_policy import MessagePolicy
from tests.unit.dispatch_harness import AGAIN, ALONE, LOGIN, MAYBE, PROVIDERS, enqueue, states, use
from tests.unit.queue_harness import BUSY, CONTENT, NOW, OK, running, settings


def limited(**limits: int) -> dict[str, Any]:
    first, second = PROVIDERS["provider"]
    return {"provider": [{**first, **limits}, second]}


async def test_a_provider_over_its_quota_overflows_to_the_fallback(tmp_path: Path) -> None:
    async with running(tmp_path, settings(**limited(daily_limit=2))) as harness:
        delivery = use(harness)
        for number in range(5):
            await enqueue(harness, number)
        await states(harness, {State.DELIVERED: 5})
        lanes = [lane for lane, _ in delivery.seen]
        assert lanes.count("provider:newsletter") == 2
        assert lanes.count("provider:backup") == 3
        reasons = [event.data["way"] for event in harness.events if event.data.get("way")]
        assert set(reasons) == {"provider newsletter has no capacity before 2027-01-16 08:00 UTC; sent by backup"}


async def test_without_capacity_anywhere_mail_waits_for_the_earliest_slot(tmp_path: Path) -> None:
    both = {
        "provider": [
            {**PROVIDERS["provider"][0], "daily_limit": 1},
            {**PROVIDERS["provider"][1], "hourly_limit": 1},
        ]
    }
    async with running(tmp_path, settings(**both)) as harness:
        use(harness)
        for number in range(3):
            await enqueue(harness, number)
        entries = await states(harness, {State.DELIVERED: 2, State.WAITING: 1})
        (waiting,) = (one for one in entries if one.state is State.WAITING)
        assert waiting.lane == "provider:backup"
        assert waiting.release_at == waiting.next_attempt_at == NOW + 3600.001
        assert waiting.attempts == 0


async def test_without_a_fallback_what_is_over_the_quota_gets_a_release_time(tmp_path: Path) -> None:
    async with running(tmp_path, settings(**limited(hourly_limit=1))) as harness:
        use(harness)
        for number in range(2):
            await enqueue(harness, number, ALONE)
        entries = await states(harness, {State.DELIVERED: 1, State.WAITING: 1})
        (waiting,) = (one for one in entries if one.state is State.WAITING)
        assert (waiting.lane, waiting.release_at) == ("provider:newsletter", NOW + 3600.001)


async def test_an_entry_waiting_for_a_slot_keeps_its_lifetime(tmp_path: Path) -> None:
    """A lowered limit can keep mail for longer than its lifetime. The mail is then tried by the whole schedule."""
    async with running(tmp_path, settings(**limited(hourly_limit=1))) as harness:
        delivery = use(harness)
        await enqueue(harness, 1, ALONE)
        message = Message(f"{AGAIN}2", NOW, "app@acme.test", ALONE, header_from="app@acme.test", size=len(CONTENT))
        entry = Entry(message.queue_id, 0, "u2@x.test", "provider:newsletter", NOW, NOW + 1800.0, harness.now)
        await states(harness, {State.DELIVERED: 1})
        await harness.store.queue.enqueue(NewMessage(message, CONTENT, (entry,)))
        harness.runner.wake()

        async def waits_for_its_turn() -> bool:
            return (await harness.entries())[1].release_at == NOW + 3600.001

        await harness.until(waits_for_its_turn)
        delivery.answers["provider:newsletter"] = BUSY
        harness.now = NOW + 3600.001
        harness.runner.wake()

        async def tried() -> bool:
            return (await harness.entries())[1].attempts == 1

        await harness.until(tried)
        tried_once = (await harness.entries())[1]
        assert (tried_once.state, tried_once.expires_at) == (State.WAITING, NOW + 3600.001 + 1800.0)


async def test_mail_sent_by_the_fallback_uses_no_slot_of_the_first_provider(tmp_path: Path) -> None:
    limits = limited(hourly_limit=2)
    windows_ = {"provider:newsletter": windows(2, 0)}
    async with running(tmp_path, settings(**limits)) as harness:
        delivery = use(harness, newsletter=LOGIN)
        for number in range(3):
            await enqueue(harness, number)
        await states(harness, {State.DELIVERED: 3})
        usage = (await harness.store.limits.usage(windows_, harness.now))["provider:newsletter"]
        assert (usage.left, usage.waiting, usage.free_at) == ((0,), 0, harness.now)
        delivery.answers.clear()
        await harness.runner.shared_pauses.resume("provider:newsletter")
        for number in (3, 4):
            await enqueue(harness, number)
        await states(harness, {State.DELIVERED: 5})
        assert [lane for lane, _ in delivery.seen[-2:]] == ["provider:newsletter"] * 2


async def test_an_identity_at_its_limit_has_no_capacity_at_any_provider(tmp_path: Path) -> None:
    sections = {**PROVIDERS, "identities": {"app@acme.test": {"hourly_limit": 1}}}
    async with running(tmp_path, settings(**sections)) as harness:
        delivery = use(harness)
        for number in range(2):
            await enqueue(harness, number)
        await states(harness, {State.DELIVERED: 1, State.WAITING: 1})
        assert [lane for lane, _ in delivery.seen] == ["provider:newsletter"]


async def test_a_dead_destination_does_not_use_up_an_identity(tmp_path: Path) -> None:
    """A deferred entry was not sent: it holds no slot, and requests one at its next attempt."""
    sections = {"identities": {"app@acme.test": {"hourly_limit": 2}}}
    async with running(tmp_path, settings(**sections)) as harness:
        harness.delivery.answers = [BUSY, BUSY, OK, OK, OK]
        for number in (1, 2):
            await enqueue(harness, number, MessagePolicy())
        await harness.until_settled()
        for number in (3, 4):
            await enqueue(harness, number, MessagePolicy())
        await states(harness, {State.DELIVERED: 2, State.WAITING: 2})
        harness.now += 60
        harness.runner.wake()

        async def asked_again() -> bool:
            waiting = [one for one in await harness.entries() if one.state is State.WAITING]
            return len(waiting) == 2 and all(one.release_at > harness.now for one in waiting)

        await harness.until(asked_again)
        assert len(harness.delivery.jobs) == 4


@pytest.mark.parametrize(("last", "left"), [(BUSY, 0), (MAYBE, 1)])
async def test_an_entry_deferred_until_it_expired_holds_no_slot(tmp_path: Path, last: Outcome, left: int) -> None:
    """Unless the last attempt may have succeeded."""
    usage = {"identity:app@acme.test": windows(3, 0)}
    async with running(tmp_path, settings(identities={"app@acme.test": {"hourly_limit": 3}})) as harness:
        harness.delivery.answers = [last]
        harness.now += 259200.0
        await enqueue(harness, 1, MessagePolicy())
        (entry,) = await states(harness, {State.BOUNCED: 1})
        assert entry.reason == "not delivered within 72 hours"
        assert (await harness.store.limits.usage(usage, harness.now))["identity:app@acme.test"].left == (left,)


async def test_an_uncertain_attempt_keeps_its_slot(tmp_path: Path) -> None:
    """An uncertain attempt counts for its hour, and the next attempt counts beside it."""
    sections = {"identities": {"app@acme.test": {"hourly_limit": 3}}}
    usage = {"identity:app@acme.test": windows(3, 0)}
    async with running(tmp_path, settings(**sections)) as harness:
        harness.delivery.answers = [MAYBE]
        await enqueue(harness, 1, MessagePolicy())
        (entry,) = await harness.until_settled()
        assert entry.uncertain
        assert (await harness.store.limits.usage(usage, harness.now))["identity:app@acme.test"].left == (1,)
        harness.now = entry.next_attempt_at
        harness.runner.wake()
        await states(harness, {State.DELIVERED: 1})
        assert (await harness.store.limits.usage(usage, harness.now))["identity:app@acme.test"].left == (2,)


async def test_an_attempt_whose_process_ended_keeps_its_slot(tmp_path: Path) -> None:
    """It counts for its hour like any uncertain attempt, and the next attempt counts beside it."""
    sections = {"identities": {"app@acme.test": {"hourly_limit": 3}}}
    usage = {"identity:app@acme.test": windows(3, 0)}
    async with running(tmp_path, settings(**sections)) as harness:
        harness.delivery.gate.clear()
        await enqueue(harness, 1, MessagePolicy())

        async def under_way() -> bool:
            return len(harness.delivery.jobs) == 1

        await harness.until(under_way)
        await harness.runner.stop(0)
    async with running(tmp_path, settings(**sections)) as harness:
        await harness.store.queue.recover(harness.now, 3600.0)
        harness.runner.wake()
        await states(harness, {State.DELIVERED: 1})
        assert (await harness.store.limits.usage(usage, harness.now))["identity:app@acme.test"].left == (2,)


async def test_copies_and_forwarded_mail_count_for_the_provider_alone(tmp_path: Path) -> None:
    identities = {"app@acme.test": {"hourly_limit": 1, "daily_limit": 1}}
    async with running(tmp_path, settings(identities=identities, **limited(hourly_limit=3))) as harness:
        await enqueue(harness, 1, ALONE)
        await enqueue(harness, 2, replace(ALONE, copies=(0,)))
        await enqueue(harness, 3, replace(ALONE, forward_domain="reply.acme.test"))
        await states(harness, {State.DELIVERED: 3})
        await enqueue(harness, 4, ALONE)
        await enqueue(harness, 5, replace(ALONE, forward_domain="reply.acme.test"))
        await states(harness, {State.DELIVERED: 3, State.WAITING: 2})


async def test_a_waiting_entry_holds_a_slot_at_one_provider_only(tmp_path: Path) -> None:
    first, second = PROVIDERS["provider"]
    both = {"provider": [{**first, "hourly_limit": 1}, {**second, "daily_limit": 1}]}
    ledgers = {"provider:newsletter": windows(1, 0), "provider:backup": windows(0, 1)}
    async with running(tmp_path, settings(**both)) as harness:
        use(harness)
        for number in range(3):
            await enqueue(harness, number)
        entries = await states(harness, {State.DELIVERED: 2, State.WAITING: 1})
        (waiting,) = (one for one in entries if one.state is State.WAITING)
        assert waiting.lane == "provider:newsletter"
        usage = await harness.store.limits.usage(ledgers, harness.now)
        assert {key: one.waiting for key, one in usage.items()} == {"provider:newsletter": 1, "provider:backup": 0}


@pytest.mark.parametrize(("phase", "left"), [("", 0), ("connect", 0), ("mail", 0), ("rcpt", 0), ("data", 1)])
async def test_a_refusal_before_data_frees_the_slot(tmp_path: Path, phase: Phase, left: int) -> None:
    usage = {"identity:app@acme.test": windows(3, 0)}
    async with running(tmp_path, settings(identities={"app@acme.test": {"hourly_limit": 3}})) as harness:
        harness.delivery.answers = [Refused(Reply(550, "5.1.1", "no such user"), "mx.x.test", phase)]
        await enqueue(harness, 1, MessagePolicy())
        await states(harness, {State.BOUNCED: 1})
        assert (await harness.store.limits.usage(usage, harness.now))["identity:app@acme.test"].left == (left,)
