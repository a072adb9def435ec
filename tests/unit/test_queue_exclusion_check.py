"""Who leaves a campaign, or is suppressed, while a message waits gets nothing of it."""

from pathlib import Path
from typing import Any

import pytest

from relay.events.event import Kind
from relay.limits.ports import Slot
from relay.limits.window import Window
from relay.mail.reply import Reply
from relay.queue import exclusion_check as exclusion_check_module
from relay.queue.entry import Entry, State
from relay.queue.message import Message, NewMessage
from relay.queue.outcome import Deferred
from relay.queue.ports import StoreError
from relay.render.message_policy import MessagePolicy
from relay.suppression.exclusion import Exclusion
from relay.suppression.model import Suppression
from relay.suppression.unsubscribes import Unsubscribe
from tests.unit.test_queue_runner import CONTENT, NOW, Harness, running

LATER = Deferred(Reply(450, "4.2.0", "later"))


async def waiting(house: Harness, *recipients: str, reverse_path: str = "app@acme.test", **policy: Any) -> None:
    """Enqueue a mail of the campaign whose first attempt fails for now."""
    house.delivery.answers = [LATER]
    frozen = MessagePolicy("acme.test", **policy)
    message = Message("0000000000000A", NOW, reverse_path, frozen, header_from="app@acme.test", campaign="spring")
    entries = tuple(
        Entry(message.queue_id, number, address, "mx:x.test", NOW, NOW + 86400, NOW)
        for number, address in enumerate(recipients)
    )
    await house.store.queue.enqueue(NewMessage(message, CONTENT, entries))
    house.runner.wake()
    await house.until_settled()
    house.delivery.jobs.clear()


async def later(house: Harness) -> dict[str, tuple[State, str]]:
    house.now = NOW + 600
    house.runner.wake()

    async def final() -> bool:
        return all(entry.is_final for entry in await house.entries())

    await house.until(final)
    return {entry.recipient: (entry.state, entry.reason) for entry in await house.entries()}


async def test_an_unsubscribe_meanwhile_drops_the_recipient_and_only_it(tmp_path: Path) -> None:
    async with running(tmp_path) as house:
        await waiting(house, "a@x.test", "b@x.test")
        await house.store.unsubscribes.add([Unsubscribe("a@x.test", "acme.test", "spring", "one-click")])
        assert await later(house) == {
            "a@x.test": (State.DROPPED, 'unsubscribed from campaign "spring" of acme.test (one-click)'),
            "b@x.test": (State.DELIVERED, ""),
        }
        assert [[one.recipient for one in job.entries] for _, job, _ in house.delivery.jobs] == [["b@x.test"]]
        (told,) = [event for event in house.events if event.kind is Kind.DROPPED]
        assert (told.address, told.data["domain"]) == ("a@x.test", "acme.test")
        assert str(told.data["reason"]).startswith("unsubscribed")


async def test_so_does_a_suppression(tmp_path: Path) -> None:
    async with running(tmp_path) as house:
        await waiting(house, "a@x.test")
        await house.store.suppressions.add([Suppression("a@x.test")])
        assert await later(house) == {"a@x.test": (State.DROPPED, "suppressed: manual")}
        assert house.delivery.jobs == []


@pytest.mark.parametrize(
    "policy",
    [{"reverse_path": ""}, {"forward_domain": "acme.test"}, {"copies": (0,)}],
    ids=["notification", "passed on", "copy"],
)
async def test_what_no_reader_can_leave_is_not_looked_at(tmp_path: Path, policy: dict[str, Any]) -> None:
    async with running(tmp_path) as house:
        await waiting(house, "a@x.test", **policy)
        await house.store.suppressions.add([Suppression("a@x.test")])
        assert await later(house) == {"a@x.test": (State.DELIVERED, "")}


async def test_the_place_of_the_dropped_goes_to_somebody_else(tmp_path: Path) -> None:
    async with running(tmp_path) as house:
        await waiting(house, "a@x.test")
        (entry,) = await house.entries()
        one_an_hour = {"identity:app@acme.test": (Window(1, 3600.0),)}
        await house.store.limits.reserve([Slot(entry.queue_id, 0, one_an_hour)], [NOW + 600])
        await house.store.unsubscribes.add([Unsubscribe("a@x.test", "acme.test")])
        await later(house)
        assert list(await house.store.limits.reserve([Slot("other", 0, one_an_hour)], [NOW + 600])) == [NOW + 600]


async def test_lists_that_cannot_be_read_are_asked_until_they_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exclusion_check_module, "STORE_RETRY", 0.01)
    ask = Exclusion.reasons
    failures = [StoreError("disk I/O error")] * 2

    async def reasons(self: Exclusion, *args: Any) -> Any:
        if failures:
            raise failures.pop()
        return await ask(self, *args)

    async with running(tmp_path) as house:
        await waiting(house, "a@x.test")
        await house.store.unsubscribes.add([Unsubscribe("a@x.test")])
        monkeypatch.setattr(Exclusion, "reasons", reasons)
        assert (await later(house))["a@x.test"][0] is State.DROPPED
        assert house.troubles == ["disk I/O error"] * 2
