"""Who leaves a campaign, or is suppressed, while a message waits gets nothing of it."""

from pathlib import Path
from typing import Any

import pytest

from relay.events.event import Kind
from relay.events.ports import StoreError
from relay.limits.ports import Slot
from relay.limits.window import Window
from relay.mail.reply import Reply
from relay.queue import context as context_module
from relay.queue.entry import Entry, State
from relay.queue.message import Message, NewMessage
from relay.queue.outcome import Deferred, Delivered, Outcome, Refused
from relay.render.message_policy import MessagePolicy
from relay.suppression.exclusion import Exclusion
from relay.suppression.model import Suppression
from relay.suppression.unsubscribes import Unsubscribe
from tests.unit.queue_harness import CONTENT, NOW, OK, Harness, running

LATER = Deferred(Reply(450, "4.2.0", "later"))

FULL = Refused(Reply(552, "5.2.2", "mailbox full"), "mx.x.test")


async def waiting(harness: Harness, *recipients: str, reverse_path: str = "app@acme.test", **policy: Any) -> None:
    """Enqueue a mail of the campaign whose first attempt fails for now."""
    harness.delivery.answers = [LATER]
    frozen = MessagePolicy("acme.test", **policy)
    message = Message("0000000000000A", NOW, reverse_path, frozen, header_from="app@acme.test", campaign="spring")
    entries = tuple(
        Entry(message.queue_id, number, address, "mx:x.test", NOW, NOW + 86400, NOW)
        for number, address in enumerate(recipients)
    )
    await harness.store.queue.enqueue(NewMessage(message, CONTENT, entries))
    harness.runner.wake()
    await harness.until_settled()
    harness.delivery.jobs.clear()


async def later(harness: Harness) -> dict[str, tuple[State, str]]:
    harness.now = NOW + 600
    harness.runner.wake()

    async def final() -> bool:
        return all(entry.is_final for entry in await harness.entries())

    await harness.until(final)
    return {entry.recipient: (entry.state, entry.reason) for entry in await harness.entries()}


async def test_an_unsubscribe_meanwhile_drops_the_recipient_and_only_it(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        await waiting(harness, "a@x.test", "b@x.test")
        await harness.store.unsubscribes.add([Unsubscribe("a@x.test", "acme.test", "spring", "one-click")])
        assert await later(harness) == {
            "a@x.test": (State.DROPPED, 'unsubscribed from campaign "spring" of acme.test (one-click)'),
            "b@x.test": (State.DELIVERED, ""),
        }
        assert [[one.recipient for one in job.entries] for _, job, _ in harness.delivery.jobs] == [["b@x.test"]]
        (event,) = [event for event in harness.events if event.kind is Kind.DROPPED]
        assert (event.address, event.data["domain"]) == ("a@x.test", "acme.test")
        assert str(event.data["reason"]).startswith("unsubscribed")


async def test_a_suppression_meanwhile_drops_the_recipient(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        await waiting(harness, "a@x.test")
        await harness.store.suppressions.add([Suppression("a@x.test")])
        assert await later(harness) == {"a@x.test": (State.DROPPED, "suppressed: manual")}
        assert harness.delivery.jobs == []


@pytest.mark.parametrize(
    "policy",
    [{"reverse_path": ""}, {"forward_domain": "acme.test"}, {"copies": (0,)}],
    ids=["notification", "passed on", "copy"],
)
async def test_mail_exempt_from_the_lists_is_not_checked(tmp_path: Path, policy: dict[str, Any]) -> None:
    async with running(tmp_path) as harness:
        await waiting(harness, "a@x.test", **policy)
        await harness.store.suppressions.add([Suppression("a@x.test")])
        assert await later(harness) == {"a@x.test": (State.DELIVERED, "")}


async def test_the_slot_of_a_dropped_entry_is_released(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        await waiting(harness, "a@x.test")
        (entry,) = await harness.entries()
        one_an_hour = {"identity:app@acme.test": (Window(1, 3600.0),)}
        await harness.store.limits.reserve([Slot(entry.queue_id, 0, one_an_hour)], [NOW + 600])
        await harness.store.unsubscribes.add([Unsubscribe("a@x.test", "acme.test")])
        await later(harness)
        assert list(await harness.store.limits.reserve([Slot("other", 0, one_an_hour)], [NOW + 600])) == [NOW + 600]


async def test_exclusion_lists_are_read_again_until_the_store_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context_module, "STORE_RETRY", 0.01)
    ask = Exclusion.check
    failures = [StoreError("disk I/O error")] * 2

    async def check(self: Exclusion, *args: Any) -> Any:
        if failures:
            raise failures.pop()
        return await ask(self, *args)

    async with running(tmp_path) as harness:
        await waiting(harness, "a@x.test")
        await harness.store.unsubscribes.add([Unsubscribe("a@x.test")])
        monkeypatch.setattr(Exclusion, "check", check)
        assert (await later(harness))["a@x.test"][0] is State.DROPPED
        assert harness.store_errors == ["disk I/O error"] * 2


@pytest.mark.parametrize("answer", [OK, FULL], ids=["delivered", "bounced"])
async def test_a_message_waits_for_the_one_that_tests_the_address(tmp_path: Path, answer: Outcome) -> None:
    async with running(tmp_path) as harness:
        await waiting(harness, "a@x.test")
        ended = Suppression("a@x.test", reason="mailbox_full", created_at=NOW - 10, expires_at=NOW - 1)
        await harness.store.suppressions.add([ended])
        await harness.store.suppressions.begin_probation(["a@x.test"], "acme.test", "0000000000000B", NOW)
        await harness.enqueue("a@x.test", queue_id="0000000000000B", domain="acme.test")
        harness.delivery.gate.clear()
        harness.delivery.answers = [answer]
        harness.now = NOW + 600
        harness.runner.wake()

        async def waits() -> bool:
            first = (await harness.entries())[0]
            return first.state is State.WAITING and "waits for the result of 0000000000000B" in first.reason

        await harness.until(waits)
        (first, _) = await harness.entries()
        assert (first.next_attempt_at, first.expires_at, first.attempts) == (NOW + 660, NOW + 86400, 1)
        harness.delivery.gate.set()

        async def tested() -> bool:
            return (await harness.entries())[1].is_final

        await harness.until(tested)
        harness.now = NOW + 661
        harness.runner.wake()

        async def final() -> bool:
            return all(entry.is_final for entry in await harness.entries())

        await harness.until(final)
        after = State.DELIVERED if isinstance(answer, Delivered) else State.DROPPED
        assert (await harness.entries())[0].state is after
