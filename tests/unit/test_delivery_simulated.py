"""Simulated mail never reaches the delivery to servers, whichever of its marks is left."""

from collections.abc import Sequence

import pytest

from relay.delivery.simulated_delivery import SimulatedDelivery
from relay.delivery.smtp_delivery import NEVER_MIXED
from relay.mail.reply import Reply
from relay.queue.entry import Entry
from relay.queue.message import Message
from relay.queue.outcome import Delivered, Outcome
from relay.queue.ports import DeliveryJob, Rendered
from relay.queue.sent_copies import ALL, SentCopy
from relay.render.message_policy import MessagePolicy

DONE = Delivered(Reply(250, "2.0.0", "Ok"), "x")


class Noted:
    """A delivery that renders, and notes the lanes."""

    def __init__(self) -> None:
        self.lanes: list[str] = []

    async def deliver(self, lane: str, job: DeliveryJob) -> Sequence[Outcome]:
        self.lanes.append(lane)
        await job.render(True)
        return [DONE] * len(job.entries)


class Copies:
    def __init__(self) -> None:
        self.kept: list[SentCopy] = []

    async def keep(self, copy: SentCopy) -> None:
        self.kept.append(copy)

    async def copies(self, queue_id: str) -> Sequence[SentCopy]:
        return [one for one in self.kept if one.queue_id == queue_id]

    async def copies_page(self, queue_id: str, after: int, octets: int) -> tuple[Sequence[SentCopy], bool]:
        del octets
        return [one for one in self.kept if one.queue_id == queue_id and one.number > after], False

    async def original(self, queue_id: str) -> SentCopy | None:
        del queue_id
        return None


async def render(_: bool) -> Rendered:
    return Rendered("a@acme.test", b"Subject: hi\r\n\r\nHello\r\n")


def job(policy: MessagePolicy, *numbers: int) -> DeliveryJob:
    entries = tuple(Entry("Q1", number, "ada@reader.test", "mx:reader.test", 0.0, 1.0, 0.0) for number in numbers)
    return DeliveryJob(Message("Q1", 0.0, "a@acme.test", policy), entries, render)


@pytest.mark.parametrize(
    ("lane", "policy", "used"),
    [
        ("mx:reader.test", MessagePolicy(), "real"),
        ("provider:up", MessagePolicy(), "real"),
        ("simulator:sandbox", MessagePolicy(), "simulator"),
        ("provider:up", MessagePolicy(sandbox=True), "simulator"),
        ("mx:reader.test", MessagePolicy(simulated=(0, 1)), "simulator"),
    ],
)
async def test_one_mark_suffices(lane: str, policy: MessagePolicy, used: str) -> None:
    real, simulator, copies = Noted(), Noted(), Copies()
    delivery = SimulatedDelivery(real, simulator, copies, lambda: 1.0)
    assert await delivery.deliver(lane, job(policy, 0, 1)) == [DONE, DONE]
    assert (bool(real.lanes), bool(simulator.lanes)) == (used == "real", used == "simulator")
    assert all(one.startswith("simulator:") for one in simulator.lanes)
    assert [one.number for one in copies.kept] == ([] if used == "real" else [ALL])


async def test_mixed_entries_are_delivered_by_none() -> None:
    real, simulator = Noted(), Noted()
    delivery = SimulatedDelivery(real, simulator, Copies(), lambda: 1.0)
    assert await delivery.deliver("provider:up", job(MessagePolicy(simulated=(0,)), 0, 1)) == [NEVER_MIXED] * 2
    assert (real.lanes, simulator.lanes) == ([], [])
