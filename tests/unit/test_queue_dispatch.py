"""Which way mail leaves, over a real store: pauses, quotas, fallbacks, and places given back."""

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from relay.dsn.bounce_rules import Rules
from relay.dsn.classify import Classification, classify
from relay.events.event import Kind
from relay.limits.window import windows
from relay.mail.reply import Reply
from relay.queue import bounce_policy as bounce_policy_module
from relay.queue.entry import Entry, State
from relay.queue.message import Message, NewMessage
from relay.queue.outcome import Deferred, Outcome, Phase, Refused
from relay.queue.ports import DeliveryJob
from relay.render.message_policy import MessagePolicy
from tests.unit.queue_harness import BUSY, CONTENT, NOW, OK, Harness, running, settings

PROVIDERS = {
    "provider": [
        {"name": "newsletter", "host": "127.0.0.1"},
        {"name": "backup", "host": "127.0.0.1"},
    ]
}

BOTH = MessagePolicy(provider="newsletter", fallback_providers=("backup",))

ALONE = MessagePolicy(provider="newsletter")

LOGIN = Deferred(
    Reply(454, "4.7.0", "AUTH was refused: 535 5.7.8 no"), "[127.0.0.1]:587", lane_down=True, locked_out=True
)

UNREACHABLE = Deferred(Reply(451, "4.4.1", "no connection: refused"), "[127.0.0.1]:587", lane_down=True)

SUSPENDED = Refused(Reply(550, "5.7.1", "Your account has been suspended for sending"), "[127.0.0.1]:587")

MAYBE = Deferred(Reply(451, "4.4.2", "no answer to the final dot"), "[127.0.0.1]:587", uncertain=True)

AGAIN = "M000000000000"
"""The first thirteen characters of the tests' queue ids."""


@dataclass
class ByLane:
    """Delivery with one fixed outcome per lane, by default 250."""

    answers: dict[str, Outcome]

    def __post_init__(self) -> None:
        self.seen: list[tuple[str, str]] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.special: dict[str, Outcome] = {}
        """Answers for single recipients, whatever the lane."""

    async def deliver(self, lane: str, job: DeliveryJob) -> list[Outcome]:
        answer = self.special.get(job.entries[0].recipient) or self.answers.get(lane, OK)
        self.seen += [(lane, entry.recipient) for entry in job.entries]
        if gate := self.gates.get(job.entries[0].recipient):
            await gate.wait()
        return [answer] * len(job.entries)


def limited(**limits: int) -> dict[str, Any]:
    first, second = PROVIDERS["provider"]
    return {"provider": [{**first, **limits}, second]}


async def enqueue(harness: Harness, number: int, policy: MessagePolicy = BOTH, author: str = "app@acme.test") -> None:
    message = Message(f"{AGAIN}{number}", NOW, author, policy, header_from=author, size=len(CONTENT))
    lane = "provider:newsletter" if policy.provider == "newsletter" else "mx:x.test"
    entry = Entry(message.queue_id, 0, f"u{number}@x.test", lane, NOW, NOW + 259200.0, harness.now)
    await harness.store.queue.enqueue(NewMessage(message, CONTENT, (entry,)))
    harness.runner.wake()


async def states(harness: Harness, expected: dict[State, int]) -> list[Entry]:
    async def there() -> bool:
        if harness.is_publishing and State.ACTIVE not in expected:
            return False
        found = [one.state for one in await harness.entries()]
        return all(found.count(state) == count for state, count in expected.items()) and len(found) == sum(
            expected.values()
        )

    await harness.until(there)
    return await harness.entries()


def use(harness: Harness, **answers: Outcome) -> ByLane:
    """Make the harness deliver by lane. Keyword arguments name the providers."""
    delivery = ByLane({f"provider:{name}": outcome for name, outcome in answers.items()})
    harness.runner._attempt._transmitter._context = replace(harness.context, delivery=delivery)
    return delivery


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


REJECTED = Refused(Reply(550, "5.7.1", "rejected"), "[127.0.0.1]:587")


async def test_a_refusal_that_may_concern_our_account_is_deferred_to_the_fallback(tmp_path: Path) -> None:
    async with running(tmp_path, settings(**PROVIDERS)) as harness:
        delivery = use(harness, newsletter=REJECTED)
        await enqueue(harness, 1)
        (entry,) = await states(harness, {State.DELIVERED: 1})
        assert [lane for lane, _ in delivery.seen] == ["provider:newsletter", "provider:backup"]
        (delivered,) = (event for event in harness.events if event.kind is Kind.DELIVERED)
        assert delivered.data["way"] == "provider newsletter refused it: 550 5.7.1 rejected; sent by backup"
        assert not harness.runner.shared_pauses.lanes()
        delivery.answers["provider:backup"] = REJECTED
        await enqueue(harness, 2)
        entries = await states(harness, {State.DELIVERED: 1, State.BOUNCED: 1})
        assert str(entries[1].last_reply) == "550 5.7.1 rejected"
        assert entry.attempts == entries[1].attempts == 2


@pytest.mark.parametrize("phase", ["mail", "rcpt"])
async def test_a_provider_that_refuses_everything_is_paused_and_its_mail_kept(tmp_path: Path, phase: Phase) -> None:
    """A refusal of MAIL needs no different destinations."""
    async with running(tmp_path, settings(**PROVIDERS)) as harness:
        use(harness, newsletter=replace(REJECTED, phase=phase))
        for number in range(6):
            domain = "x" if phase == "mail" else f"d{number}"
            message = Message(f"{AGAIN}{number}", NOW, "", ALONE, header_from="app@acme.test", size=len(CONTENT))
            entry = Entry(message.queue_id, 0, f"u@{domain}.test", "provider:newsletter", NOW, NOW + 259200.0, NOW)
            await harness.store.queue.enqueue(NewMessage(message, CONTENT, (entry,)))
            harness.runner.wake()
            await harness.until_settled()
        entries = await states(harness, {State.BOUNCED: 4, State.WAITING: 2})
        assert harness.raised == [("provider:newsletter", "credentials")]
        assert "delivery is paused after: 550 5.7.1 rejected" in str(entries[5].last_reply)


async def test_refusals_of_one_destination_do_not_pause_the_provider(tmp_path: Path) -> None:
    async with running(tmp_path, settings(**PROVIDERS)) as harness:
        use(harness, newsletter=replace(REJECTED, phase="rcpt"))
        for number in range(8):
            await enqueue(harness, number, ALONE)
        await states(harness, {State.BOUNCED: 8})
        assert harness.raised == []


async def test_a_provider_that_does_not_relay_for_us_refuses_our_account(tmp_path: Path) -> None:
    denied = Refused(Reply(554, "5.7.1", "<u1@x.test>: Relay access denied"), "[127.0.0.1]:587")
    async with running(tmp_path, settings(**PROVIDERS)) as harness:
        use(harness, newsletter=denied)
        await enqueue(harness, 1, ALONE)
        (entry,) = await harness.until_settled()
        assert entry.state is State.WAITING
        assert harness.raised == [("provider:newsletter", "credentials")]
        assert harness.events[-1].data["category"] == "credentials"


async def test_unknown_recipients_do_not_pause_a_provider(tmp_path: Path) -> None:
    unknown = Refused(Reply(550, "5.1.1", "no such user"), "[127.0.0.1]:587")
    async with running(tmp_path, settings(**PROVIDERS)) as harness:
        use(harness, newsletter=unknown)
        message = Message(f"{AGAIN}A", NOW, "", BOTH, header_from="app@acme.test", size=len(CONTENT))
        entries = tuple(
            Entry(message.queue_id, n, f"u@d{n}.test", "provider:newsletter", NOW, NOW + 259200.0, NOW)
            for n in range(30)
        )
        await harness.store.queue.enqueue(NewMessage(message, CONTENT, entries))
        harness.runner.wake()
        await states(harness, {State.BOUNCED: 30})
        assert harness.raised == []


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


async def test_a_refusal_by_the_fallback_is_reported_unchanged(tmp_path: Path) -> None:
    """The reason for the route is no reason of the failure."""
    async with running(tmp_path, settings(**PROVIDERS)) as harness:
        use(harness, newsletter=LOGIN, backup=Refused(Reply(550, "5.1.1", "no such user"), "[127.0.0.1]:588"))
        await enqueue(harness, 1)
        (entry,) = await states(harness, {State.BOUNCED: 1})
        assert entry.reason == ""
        (bounced,) = (event for event in harness.events if event.kind is Kind.BOUNCED)
        assert (bounced.data["status"], bounced.data["reply"]) == ("5.1.1", "550 5.1.1 no such user")
        assert bounced.data["way"] == f"provider newsletter is paused: {LOGIN.reply}; sent by backup"


async def test_a_refused_entry_does_not_return_to_its_provider_when_the_fallback_is_full(tmp_path: Path) -> None:
    """It waits for a slot at the fallback, and does not circulate between the two."""
    first, second = PROVIDERS["provider"]
    async with running(tmp_path, settings(provider=[first, {**second, "hourly_limit": 1}])) as harness:
        delivery = use(harness, newsletter=REJECTED)
        await enqueue(harness, 1)
        await states(harness, {State.DELIVERED: 1})
        await enqueue(harness, 2)

        async def waits_for_room() -> bool:
            return (await harness.entries())[1].release_at == NOW + 3600.001

        await harness.until(waits_for_room)
        waiting = (await harness.entries())[1]
        assert (waiting.state, waiting.lane, waiting.attempts) == (State.WAITING, "provider:backup", 1)
        assert [lane for lane, who in delivery.seen if who == "u2@x.test"] == ["provider:newsletter"]


@pytest.mark.parametrize(
    ("failure", "policy", "replies"),
    [
        (LOGIN, BOTH, 1),
        (UNREACHABLE, BOTH, 1),
        (SUSPENDED, BOTH, 1),
        (REJECTED, BOTH, 1),
        (replace(REJECTED, phase="mail"), ALONE, 1),
        (Refused(Reply(550, "5.1.1", "no such user"), "[127.0.0.1]:587", "rcpt"), ALONE, 1),
        (MAYBE, ALONE, 1),
        (OK, ALONE, 0),
    ],
)
async def test_each_reply_is_classified_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Outcome, policy: MessagePolicy, replies: int
) -> None:
    """Lane feedback, dispatch and settling read one meaning; recipients of one reply share it."""
    classified: list[str] = []

    def counted(rules: Rules, text: str, *more: Any, **named: Any) -> Classification:
        classified.append(text)
        return classify(rules, text, *more, **named)

    monkeypatch.setattr(bounce_policy_module, "classify", counted)
    async with running(tmp_path, settings(**PROVIDERS)) as harness:
        use(harness, newsletter=failure)
        message = Message(f"{AGAIN}A", NOW, "", policy, header_from="app@acme.test", size=len(CONTENT))
        entries = tuple(
            Entry(message.queue_id, n, f"u@d{n}.test", "provider:newsletter", NOW, NOW + 259200.0, NOW)
            for n in range(3)
        )
        await harness.store.queue.enqueue(NewMessage(message, CONTENT, entries))
        harness.runner.wake()
        await harness.until_settled()
        assert classified == [str(failure.reply)] * replies


async def test_a_classification_that_raises_leaves_no_entry_active(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> Classification:
        raise ZeroDivisionError("nobody understands it")

    monkeypatch.setattr(bounce_policy_module, "classify", broken)
    async with running(tmp_path, settings(**PROVIDERS)) as harness:
        use(harness, newsletter=REJECTED)
        await enqueue(harness, 1, ALONE)
        (entry,) = await harness.until_settled()
        assert (entry.state, entry.attempts, entry.last_reply) == (State.WAITING, 1, REJECTED.reply)
        assert harness.raised == [(f"{AGAIN}1", "ZeroDivisionError('nobody understands it')")]


@pytest.mark.parametrize(("phase", "left"), [("", 0), ("connect", 0), ("mail", 0), ("rcpt", 0), ("data", 1)])
async def test_a_refusal_before_data_frees_the_slot(tmp_path: Path, phase: Phase, left: int) -> None:
    usage = {"identity:app@acme.test": windows(3, 0)}
    async with running(tmp_path, settings(identities={"app@acme.test": {"hourly_limit": 3}})) as harness:
        harness.delivery.answers = [Refused(Reply(550, "5.1.1", "no such user"), "mx.x.test", phase)]
        await enqueue(harness, 1, MessagePolicy())
        await states(harness, {State.BOUNCED: 1})
        assert (await harness.store.limits.usage(usage, harness.now))["identity:app@acme.test"].left == (left,)
