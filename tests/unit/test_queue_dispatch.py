"""Which way mail leaves, over a real store: pauses, quotas, fallbacks, and places given back."""

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from relay.dsn.classify import Classification, Rules, classify
from relay.events.event import Kind
from relay.limits.window import windows
from relay.mail.reply import Reply
from relay.queue import bounce_policy as bounce_policy_module
from relay.queue.entry import Entry, State
from relay.queue.message import Message, NewMessage
from relay.queue.outcome import Deferred, Outcome, Phase, Refused
from relay.queue.ports import DeliveryJob
from relay.render.message_policy import MessagePolicy
from tests.unit.test_queue_runner import BUSY, CONTENT, NOW, OK, Harness, running, settings

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
    """Answers by the lane: what it says for good, else 250."""

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


async def enqueue(house: Harness, number: int, policy: MessagePolicy = BOTH, author: str = "app@acme.test") -> None:
    message = Message(f"{AGAIN}{number}", NOW, author, policy, header_from=author, size=len(CONTENT))
    lane = "provider:newsletter" if policy.provider == "newsletter" else "mx:x.test"
    entry = Entry(message.queue_id, 0, f"u{number}@x.test", lane, NOW, NOW + 259200.0, house.now)
    await house.store.queue.enqueue(NewMessage(message, CONTENT, (entry,)))
    house.runner.wake()


async def states(house: Harness, expected: dict[State, int]) -> list[Entry]:
    async def there() -> bool:
        if house.is_telling and State.ACTIVE not in expected:
            return False
        found = [one.state for one in await house.entries()]
        return all(found.count(state) == count for state, count in expected.items()) and len(found) == sum(
            expected.values()
        )

    await house.until(there)
    return await house.entries()


def use(house: Harness, **answers: Outcome) -> ByLane:
    """Have the house deliver by lanes; the names of providers stand for their lanes."""
    delivery = ByLane({f"provider:{name}": outcome for name, outcome in answers.items()})
    house.runner._tools = replace(house.runner._tools, delivery=delivery)
    return delivery


@pytest.mark.parametrize("failure", [LOGIN, UNREACHABLE, SUSPENDED])
async def test_mail_of_a_provider_that_fails_takes_the_fallback_at_once(tmp_path: Path, failure: Outcome) -> None:
    async with running(tmp_path, settings(**PROVIDERS)) as house:
        delivery = use(house, newsletter=failure)
        await enqueue(house, 1)
        (entry,) = await states(house, {State.DELIVERED: 1})
        assert entry.lane == "provider:backup"
        assert [lane for lane, _ in delivery.seen] == ["provider:newsletter", "provider:backup"]
        kinds = [(event.kind, event.data["lane"]) for event in house.events]
        assert kinds == [
            (Kind.PROCESSED, "provider:newsletter"),
            (Kind.DEFERRED, "provider:newsletter"),
            (Kind.DELIVERED, "provider:backup"),
        ]
        why = f"provider newsletter is paused: {failure.reply}; sent by backup"
        assert [event.data.get("way") for event in house.events] == [None, why, why]
        await enqueue(house, 2)
        await states(house, {State.DELIVERED: 2})
        assert delivery.seen[2:] == [("provider:backup", "u2@x.test")]
        assert [event.data.get("way") for event in house.events[3:]] == [why, why]
        assert [lane for lane, _ in house.raised] == ["provider:newsletter"]


async def test_a_greeting_that_refuses_relaying_alerts_with_the_category_of_its_events(tmp_path: Path) -> None:
    denied = Deferred(Reply(421, "4.7.1", "Relay access denied"), "[127.0.0.1]:587", lane_down=True)
    async with running(tmp_path, settings(**PROVIDERS)) as house:
        use(house, newsletter=denied)
        await enqueue(house, 1, ALONE)
        await states(house, {State.WAITING: 1})
        told = [event.data["category"] for event in house.events if event.kind == Kind.DEFERRED]
        assert house.raised == [("provider:newsletter", category) for category in told] != []
        assert told == ["credentials"]


async def test_without_a_fallback_mail_waits_and_the_pause_ends(tmp_path: Path) -> None:
    async with running(tmp_path, settings(**PROVIDERS)) as house:
        delivery = use(house, newsletter=LOGIN)
        await enqueue(house, 1, ALONE)
        (entry,) = await house.until_settled()
        assert (entry.state, entry.lane) == (State.WAITING, "provider:newsletter")
        assert house.raised == [("provider:newsletter", "credentials")]
        delivery.answers.clear()
        house.now = entry.next_attempt_at
        await enqueue(house, 2, ALONE)
        await house.until_settled()
        assert len(delivery.seen) == 1
        house.now = NOW + 900
        for one in await house.entries():
            house.now = max(house.now, one.next_attempt_at)
        house.runner.wake()
        await states(house, {State.DELIVERED: 2})


async def test_a_pause_is_told_once_however_many_fail_together(tmp_path: Path) -> None:
    async with running(tmp_path, settings(**PROVIDERS)) as house:
        delivery = use(house, newsletter=LOGIN)
        delivery.gates = {f"u{number}@x.test": asyncio.Event() for number in range(5)}
        for number in range(5):
            await enqueue(house, number)

        async def under_way() -> bool:
            return len(delivery.seen) == 5

        await house.until(under_way)
        for gate in delivery.gates.values():
            gate.set()
        await states(house, {State.DELIVERED: 5})
        assert len(house.raised) == 1


async def test_a_success_that_was_under_way_does_not_lift_the_pause(tmp_path: Path) -> None:
    async with running(tmp_path, settings(**PROVIDERS)) as house:
        delivery = use(house)
        slow = delivery.gates["u1@x.test"] = asyncio.Event()
        await enqueue(house, 1)

        async def under_way() -> bool:
            return len(delivery.seen) == 1

        await house.until(under_way)
        house.now += 1
        delivery.answers["provider:newsletter"] = LOGIN
        await enqueue(house, 2)
        await states(house, {State.DELIVERED: 1, State.ACTIVE: 1})
        slow.set()
        await states(house, {State.DELIVERED: 2})
        assert "provider:newsletter" in house.runner.pauses()
        house.now += 1
        await enqueue(house, 3)
        await states(house, {State.DELIVERED: 3})
        assert delivery.seen[-1] == ("provider:backup", "u3@x.test")


async def test_a_resumed_provider_is_tried_at_once(tmp_path: Path) -> None:
    async with running(tmp_path, settings(**PROVIDERS)) as house:
        delivery = use(house, newsletter=LOGIN)
        await enqueue(house, 1)
        await states(house, {State.DELIVERED: 1})
        assert set(house.runner.pauses()) == {"provider:newsletter"}
        delivery.answers.clear()
        assert house.runner.resume("provider:newsletter")
        assert not house.runner.resume("provider:newsletter")
        await enqueue(house, 2)
        await states(house, {State.DELIVERED: 2})
        assert delivery.seen[-1] == ("provider:newsletter", "u2@x.test")


async def test_when_all_ways_fail_mail_waits_by_the_schedule(tmp_path: Path) -> None:
    async with running(tmp_path, settings(**PROVIDERS)) as house:
        delivery = use(house, newsletter=UNREACHABLE, backup=UNREACHABLE)
        await enqueue(house, 1)

        async def both_tried() -> bool:
            (entry,) = await house.entries()
            return entry.attempts == 2 and entry.state is State.WAITING

        await house.until(both_tried)
        await asyncio.sleep(0.05)
        assert len(delivery.seen) == 2
        (entry,) = await house.entries()
        assert entry.next_attempt_at == NOW + 300


async def test_a_provider_over_its_quota_overflows_to_the_fallback(tmp_path: Path) -> None:
    async with running(tmp_path, settings(**limited(daily_limit=2))) as house:
        delivery = use(house)
        for number in range(5):
            await enqueue(house, number)
        await states(house, {State.DELIVERED: 5})
        lanes = [lane for lane, _ in delivery.seen]
        assert lanes.count("provider:newsletter") == 2
        assert lanes.count("provider:backup") == 3
        told = [event.data["way"] for event in house.events if event.data.get("way")]
        assert set(told) == {"provider newsletter has no room before 2027-01-16 08:00 UTC; sent by backup"}


async def test_with_no_room_anywhere_mail_waits_for_the_earliest(tmp_path: Path) -> None:
    both = {
        "provider": [
            {**PROVIDERS["provider"][0], "daily_limit": 1},
            {**PROVIDERS["provider"][1], "hourly_limit": 1},
        ]
    }
    async with running(tmp_path, settings(**both)) as house:
        use(house)
        for number in range(3):
            await enqueue(house, number)
        entries = await states(house, {State.DELIVERED: 2, State.WAITING: 1})
        (waiting,) = (one for one in entries if one.state is State.WAITING)
        assert waiting.lane == "provider:backup"
        assert waiting.release_at == waiting.next_attempt_at == NOW + 3600.001
        assert waiting.attempts == 0


async def test_without_a_fallback_what_is_over_the_quota_gets_a_release_time(tmp_path: Path) -> None:
    async with running(tmp_path, settings(**limited(hourly_limit=1))) as house:
        use(house)
        for number in range(2):
            await enqueue(house, number, ALONE)
        entries = await states(house, {State.DELIVERED: 1, State.WAITING: 1})
        (waiting,) = (one for one in entries if one.state is State.WAITING)
        assert (waiting.lane, waiting.release_at) == ("provider:newsletter", NOW + 3600.001)


async def test_what_waits_for_its_turn_keeps_its_lifetime(tmp_path: Path) -> None:
    """A limit that was lowered keeps mail for longer than it may be tried; then it is tried all the same, not once."""
    async with running(tmp_path, settings(**limited(hourly_limit=1))) as house:
        delivery = use(house)
        await enqueue(house, 1, ALONE)
        message = Message(f"{AGAIN}2", NOW, "app@acme.test", ALONE, header_from="app@acme.test", size=len(CONTENT))
        entry = Entry(message.queue_id, 0, "u2@x.test", "provider:newsletter", NOW, NOW + 1800.0, house.now)
        await states(house, {State.DELIVERED: 1})
        await house.store.queue.enqueue(NewMessage(message, CONTENT, (entry,)))
        house.runner.wake()

        async def waits_for_its_turn() -> bool:
            return (await house.entries())[1].release_at == NOW + 3600.001

        await house.until(waits_for_its_turn)
        delivery.answers["provider:newsletter"] = BUSY
        house.now = NOW + 3600.001
        house.runner.wake()

        async def tried() -> bool:
            return (await house.entries())[1].attempts == 1

        await house.until(tried)
        tried_once = (await house.entries())[1]
        assert (tried_once.state, tried_once.expires_at) == (State.WAITING, NOW + 3600.001 + 1800.0)


async def test_what_went_elsewhere_uses_nothing_of_the_first_quota(tmp_path: Path) -> None:
    limits = limited(hourly_limit=2)
    windows_ = {"provider:newsletter": windows(2, 0)}
    async with running(tmp_path, settings(**limits)) as house:
        delivery = use(house, newsletter=LOGIN)
        for number in range(3):
            await enqueue(house, number)
        await states(house, {State.DELIVERED: 3})
        usage = (await house.store.limits.usage(windows_, house.now))["provider:newsletter"]
        assert (usage.left, usage.waiting, usage.free_at) == ((0,), 0, house.now)
        delivery.answers.clear()
        house.runner.resume("provider:newsletter")
        for number in (3, 4):
            await enqueue(house, number)
        await states(house, {State.DELIVERED: 5})
        assert [lane for lane, _ in delivery.seen[-2:]] == ["provider:newsletter"] * 2


async def test_a_full_identity_has_no_room_by_any_way(tmp_path: Path) -> None:
    sections = {**PROVIDERS, "identities": {"app@acme.test": {"hourly_limit": 1}}}
    async with running(tmp_path, settings(**sections)) as house:
        delivery = use(house)
        for number in range(2):
            await enqueue(house, number)
        await states(house, {State.DELIVERED: 1, State.WAITING: 1})
        assert [lane for lane, _ in delivery.seen] == ["provider:newsletter"]


async def test_a_dead_destination_does_not_use_up_an_identity(tmp_path: Path) -> None:
    """What its destination deferred did not leave: it holds up nobody, and asks again when it is tried again."""
    sections = {"identities": {"app@acme.test": {"hourly_limit": 2}}}
    async with running(tmp_path, settings(**sections)) as house:
        house.delivery.answers = [BUSY, BUSY, OK, OK, OK]
        for number in (1, 2):
            await enqueue(house, number, MessagePolicy())
        await house.until_settled()
        for number in (3, 4):
            await enqueue(house, number, MessagePolicy())
        await states(house, {State.DELIVERED: 2, State.WAITING: 2})
        house.now += 60
        house.runner.wake()

        async def asked_again() -> bool:
            waiting = [one for one in await house.entries() if one.state is State.WAITING]
            return len(waiting) == 2 and all(one.release_at > house.now for one in waiting)

        await house.until(asked_again)
        assert len(house.delivery.jobs) == 4


@pytest.mark.parametrize(("last", "left"), [(BUSY, 0), (MAYBE, 1)])
async def test_what_was_put_off_until_it_expired_did_not_leave(tmp_path: Path, last: Outcome, left: int) -> None:
    """Unless the last attempt may have succeeded."""
    usage = {"identity:app@acme.test": windows(3, 0)}
    async with running(tmp_path, settings(identities={"app@acme.test": {"hourly_limit": 3}})) as house:
        house.delivery.answers = [last]
        house.now += 259200.0
        await enqueue(house, 1, MessagePolicy())
        (entry,) = await states(house, {State.BOUNCED: 1})
        assert entry.reason == "not delivered within 72 hours"
        assert (await house.store.limits.usage(usage, house.now))["identity:app@acme.test"].left == (left,)


async def test_what_may_have_been_delivered_left(tmp_path: Path) -> None:
    """An uncertain attempt counts for its hour, and the next attempt counts beside it."""
    sections = {"identities": {"app@acme.test": {"hourly_limit": 3}}}
    usage = {"identity:app@acme.test": windows(3, 0)}
    async with running(tmp_path, settings(**sections)) as house:
        house.delivery.answers = [MAYBE]
        await enqueue(house, 1, MessagePolicy())
        (entry,) = await house.until_settled()
        assert entry.uncertain
        assert (await house.store.limits.usage(usage, house.now))["identity:app@acme.test"].left == (1,)
        house.now = entry.next_attempt_at
        house.runner.wake()
        await states(house, {State.DELIVERED: 1})
        assert (await house.store.limits.usage(usage, house.now))["identity:app@acme.test"].left == (2,)


async def test_what_was_under_way_when_its_process_ended_left(tmp_path: Path) -> None:
    """It counts for its hour like any attempt nobody knows the end of, and the next attempt counts beside it."""
    sections = {"identities": {"app@acme.test": {"hourly_limit": 3}}}
    usage = {"identity:app@acme.test": windows(3, 0)}
    async with running(tmp_path, settings(**sections)) as house:
        house.delivery.gate.clear()
        await enqueue(house, 1, MessagePolicy())

        async def under_way() -> bool:
            return len(house.delivery.jobs) == 1

        await house.until(under_way)
        await house.runner.stop(0)
    async with running(tmp_path, settings(**sections)) as house:
        await house.store.queue.recover(house.now, 3600.0)
        house.runner.wake()
        await states(house, {State.DELIVERED: 1})
        assert (await house.store.limits.usage(usage, house.now))["identity:app@acme.test"].left == (2,)


async def test_what_may_have_been_delivered_is_not_sent_on_at_once(tmp_path: Path) -> None:
    async with running(tmp_path, settings(**PROVIDERS)) as house:
        delivery = use(house, newsletter=MAYBE)
        await enqueue(house, 1)
        (entry,) = await house.until_settled()
        assert (entry.lane, entry.uncertain, len(delivery.seen)) == ("provider:newsletter", True, 1)


async def test_a_provider_that_was_removed_from_the_settings_is_gone_around(tmp_path: Path) -> None:
    async with running(tmp_path, settings(provider=PROVIDERS["provider"][1:])) as house:
        delivery = use(house)
        await enqueue(house, 1)
        (entry,) = await states(house, {State.DELIVERED: 1})
        assert entry.lane == "provider:backup"
        assert [lane for lane, _ in delivery.seen] == ["provider:backup"]


REJECTED = Refused(Reply(550, "5.7.1", "rejected"), "[127.0.0.1]:587")


async def test_a_refusal_that_may_be_about_us_gets_a_second_opinion(tmp_path: Path) -> None:
    async with running(tmp_path, settings(**PROVIDERS)) as house:
        delivery = use(house, newsletter=REJECTED)
        await enqueue(house, 1)
        (entry,) = await states(house, {State.DELIVERED: 1})
        assert [lane for lane, _ in delivery.seen] == ["provider:newsletter", "provider:backup"]
        (delivered,) = (event for event in house.events if event.kind is Kind.DELIVERED)
        assert delivered.data["way"] == "provider newsletter refused it: 550 5.7.1 rejected; sent by backup"
        assert not house.runner.pauses()
        delivery.answers["provider:backup"] = REJECTED
        await enqueue(house, 2)
        entries = await states(house, {State.DELIVERED: 1, State.BOUNCED: 1})
        assert str(entries[1].last_reply) == "550 5.7.1 rejected"
        assert entry.attempts == entries[1].attempts == 2


@pytest.mark.parametrize("phase", ["mail", "rcpt"])
async def test_a_provider_that_refuses_everything_is_paused_and_its_mail_kept(tmp_path: Path, phase: Phase) -> None:
    """Refused before a recipient was named, the destinations need not even differ."""
    async with running(tmp_path, settings(**PROVIDERS)) as house:
        use(house, newsletter=replace(REJECTED, phase=phase))
        for number in range(6):
            domain = "x" if phase == "mail" else f"d{number}"
            message = Message(f"{AGAIN}{number}", NOW, "", ALONE, header_from="app@acme.test", size=len(CONTENT))
            entry = Entry(message.queue_id, 0, f"u@{domain}.test", "provider:newsletter", NOW, NOW + 259200.0, NOW)
            await house.store.queue.enqueue(NewMessage(message, CONTENT, (entry,)))
            house.runner.wake()
            await house.until_settled()
        entries = await states(house, {State.BOUNCED: 4, State.WAITING: 2})
        assert house.raised == [("provider:newsletter", "credentials")]
        assert "delivery is paused after: 550 5.7.1 rejected" in str(entries[5].last_reply)


async def test_refusals_of_one_destination_are_about_that(tmp_path: Path) -> None:
    async with running(tmp_path, settings(**PROVIDERS)) as house:
        use(house, newsletter=replace(REJECTED, phase="rcpt"))
        for number in range(8):
            await enqueue(house, number, ALONE)
        await states(house, {State.BOUNCED: 8})
        assert house.raised == []


async def test_a_provider_that_does_not_relay_for_us_refuses_our_account(tmp_path: Path) -> None:
    denied = Refused(Reply(554, "5.7.1", "<u1@x.test>: Relay access denied"), "[127.0.0.1]:587")
    async with running(tmp_path, settings(**PROVIDERS)) as house:
        use(house, newsletter=denied)
        await enqueue(house, 1, ALONE)
        (entry,) = await house.until_settled()
        assert entry.state is State.WAITING
        assert house.raised == [("provider:newsletter", "credentials")]
        assert house.events[-1].data["category"] == "credentials"


async def test_recipients_a_provider_does_not_know_do_not_pause_it(tmp_path: Path) -> None:
    unknown = Refused(Reply(550, "5.1.1", "no such user"), "[127.0.0.1]:587")
    async with running(tmp_path, settings(**PROVIDERS)) as house:
        use(house, newsletter=unknown)
        message = Message(f"{AGAIN}A", NOW, "", BOTH, header_from="app@acme.test", size=len(CONTENT))
        entries = tuple(
            Entry(message.queue_id, n, f"u@d{n}.test", "provider:newsletter", NOW, NOW + 259200.0, NOW)
            for n in range(30)
        )
        await house.store.queue.enqueue(NewMessage(message, CONTENT, entries))
        house.runner.wake()
        await states(house, {State.BOUNCED: 30})
        assert house.raised == []


async def test_a_fallback_decision_survives_a_crash(tmp_path: Path) -> None:
    """The lane is in the entry: the next start goes on by the fallback without trying the first provider."""
    async with running(tmp_path, settings(**PROVIDERS)) as house:
        delivery = use(house, newsletter=LOGIN)
        delivery.answers["provider:backup"] = Deferred(Reply(451, "4.3.2", "busy"), "[127.0.0.1]:588")
        await enqueue(house, 1)

        async def tried_both() -> bool:
            return [one.attempts for one in await house.entries()] == [2]

        await house.until(tried_both)
    async with running(tmp_path, settings(**PROVIDERS)) as house:
        house.now += 3600
        delivery = use(house)
        house.runner.wake()
        await states(house, {State.DELIVERED: 1})
        assert [lane for lane, _ in delivery.seen] == ["provider:backup"]


async def test_copies_and_mail_that_is_passed_on_count_for_the_provider_alone(tmp_path: Path) -> None:
    identities = {"app@acme.test": {"hourly_limit": 1, "daily_limit": 1}}
    async with running(tmp_path, settings(identities=identities, **limited(hourly_limit=3))) as house:
        await enqueue(house, 1, ALONE)
        await enqueue(house, 2, replace(ALONE, copies=(0,)))
        await enqueue(house, 3, replace(ALONE, forward_domain="reply.acme.test"))
        await states(house, {State.DELIVERED: 3})
        await enqueue(house, 4, ALONE)
        await enqueue(house, 5, replace(ALONE, forward_domain="reply.acme.test"))
        await states(house, {State.DELIVERED: 3, State.WAITING: 2})


async def test_what_may_have_been_delivered_stays_when_its_provider_is_paused_meanwhile(tmp_path: Path) -> None:
    async with running(tmp_path, settings(**PROVIDERS)) as house:
        delivery = use(house, newsletter=LOGIN)
        slow = delivery.gates["u1@x.test"] = asyncio.Event()
        delivery.special["u1@x.test"] = MAYBE
        await enqueue(house, 1)

        async def under_way() -> bool:
            return len(delivery.seen) == 1

        await house.until(under_way)
        await enqueue(house, 2)
        await states(house, {State.DELIVERED: 1, State.ACTIVE: 1})
        slow.set()
        entries = await states(house, {State.DELIVERED: 1, State.WAITING: 1})
        (waiting,) = (one for one in entries if one.state is State.WAITING)
        assert (waiting.lane, waiting.uncertain) == ("provider:newsletter", True)
        assert waiting.next_attempt_at > house.now


async def test_who_waits_holds_its_place_where_it_waits_and_nowhere_else(tmp_path: Path) -> None:
    first, second = PROVIDERS["provider"]
    both = {"provider": [{**first, "hourly_limit": 1}, {**second, "daily_limit": 1}]}
    ledgers = {"provider:newsletter": windows(1, 0), "provider:backup": windows(0, 1)}
    async with running(tmp_path, settings(**both)) as house:
        use(house)
        for number in range(3):
            await enqueue(house, number)
        entries = await states(house, {State.DELIVERED: 2, State.WAITING: 1})
        (waiting,) = (one for one in entries if one.state is State.WAITING)
        assert waiting.lane == "provider:newsletter"
        usage = await house.store.limits.usage(ledgers, house.now)
        assert {key: one.waiting for key, one in usage.items()} == {"provider:newsletter": 1, "provider:backup": 0}


async def test_a_refusal_by_the_fallback_is_told_as_it_is(tmp_path: Path) -> None:
    """Why it took that way is no reason why it failed."""
    async with running(tmp_path, settings(**PROVIDERS)) as house:
        use(house, newsletter=LOGIN, backup=Refused(Reply(550, "5.1.1", "no such user"), "[127.0.0.1]:588"))
        await enqueue(house, 1)
        (entry,) = await states(house, {State.BOUNCED: 1})
        assert entry.reason == ""
        (bounced,) = (event for event in house.events if event.kind is Kind.BOUNCED)
        assert (bounced.data["status"], bounced.data["reply"]) == ("5.1.1", "550 5.1.1 no such user")
        assert bounced.data["way"] == f"provider newsletter is paused: {LOGIN.reply}; sent by backup"


async def test_what_a_provider_refused_does_not_come_back_to_it_when_the_fallback_is_full(tmp_path: Path) -> None:
    """It waits for room with the fallback, and does not go round and round between the two."""
    first, second = PROVIDERS["provider"]
    async with running(tmp_path, settings(provider=[first, {**second, "hourly_limit": 1}])) as house:
        delivery = use(house, newsletter=REJECTED)
        await enqueue(house, 1)
        await states(house, {State.DELIVERED: 1})
        await enqueue(house, 2)

        async def waits_for_room() -> bool:
            return (await house.entries())[1].release_at == NOW + 3600.001

        await house.until(waits_for_room)
        waiting = (await house.entries())[1]
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

    def counted(rules: Rules, text: str, *more: Any) -> Classification:
        classified.append(text)
        return classify(rules, text, *more)

    monkeypatch.setattr(bounce_policy_module, "classify", counted)
    async with running(tmp_path, settings(**PROVIDERS)) as house:
        use(house, newsletter=failure)
        message = Message(f"{AGAIN}A", NOW, "", policy, header_from="app@acme.test", size=len(CONTENT))
        entries = tuple(
            Entry(message.queue_id, n, f"u@d{n}.test", "provider:newsletter", NOW, NOW + 259200.0, NOW)
            for n in range(3)
        )
        await house.store.queue.enqueue(NewMessage(message, CONTENT, entries))
        house.runner.wake()
        await house.until_settled()
        assert classified == [str(failure.reply)] * replies


async def test_a_classification_that_raises_strands_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*of: object) -> Classification:
        raise ZeroDivisionError("nobody understands it")

    monkeypatch.setattr(bounce_policy_module, "classify", broken)
    async with running(tmp_path, settings(**PROVIDERS)) as house:
        use(house, newsletter=REJECTED)
        await enqueue(house, 1, ALONE)
        (entry,) = await house.until_settled()
        assert (entry.state, entry.attempts, entry.last_reply) == (State.WAITING, 1, REJECTED.reply)
        assert house.raised == [(f"{AGAIN}1", "ZeroDivisionError('nobody understands it')")]
