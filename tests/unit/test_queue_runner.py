"""The runner over a real store: whatever happens to an attempt, its entries end in the right state."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from relay.config.settings import Settings
from relay.delivery.journal import DeliveryJournalFile
from relay.domains.keys import Keys
from relay.dsn.rules_file import load_bounce_rules
from relay.events.event import Event, Kind
from relay.limits.ports import Slot, Usage
from relay.limits.window import Window
from relay.mail.reply import Reply
from relay.queue import runner as runner_module
from relay.queue import settler as settler_module
from relay.queue.bounce_policy import BouncePolicy
from relay.queue.context import INTERNAL_ERROR, QueueContext
from relay.queue.entry import Entry, State
from relay.queue.lanes import LaneTable
from relay.queue.message import ClaimedBatch, Message, NewMessage, Settlement
from relay.queue.nodes import ALL_CONNECTIONS, NodeConnections
from relay.queue.outcome import Deferred, Delivered, Outcome, Refused
from relay.queue.ports import ClaimLimits, DeliveryJob, EntryQuery, StoreError
from relay.queue.runner import Runner
from relay.render.message_policy import MessagePolicy
from relay.render.pool import InlineRenderer
from relay.render.render import Rendering, RenderInput
from relay.reports.ports import MessageQuery
from relay.rewrite.options import Tracking
from relay.rewrite.tokens import new_key, parse_keyring
from relay.storage.sqlite.store import SqliteStore
from relay.suppression.exclusion import Exclusion
from tests.servers.waiting import PATIENCE

NOW = 1_800_000_000.0


OK = Delivered(Reply(250, "2.0.0", "ok"), "mx.x.test[192.0.2.1]:25")


BUSY = Deferred(Reply(451, "4.3.2", "busy"), "mx.x.test[192.0.2.1]:25")


NO = Refused(Reply(550, "5.1.1", "no such user"), "mx.x.test[192.0.2.1]:25")


DOWN = Deferred(Reply(451, "4.4.1", "nobody answers"), lane_down=True)


CONTENT = (
    b"From: app@acme.test\r\nSubject: hello\r\nContent-Type: text/html\r\n\r\n"
    b'<html><body><a href="https://shop.test/">x</a></body></html>\r\n'
)


TRACKING = Tracking(
    opens=True,
    clicks=True,
    base_url="https://t.test",
    text_links=False,
    skip_sensitive=True,
    skip_visible_urls=True,
    exclude_hosts=(),
    pixel="end",
)


EVERY = (State.WAITING, State.HELD, State.ACTIVE, State.DELIVERED, State.BOUNCED, State.DROPPED)


class ScriptedDelivery:
    """Renders each job as a real delivery does, keeps what it was given, and answers as it was told."""

    def __init__(self) -> None:
        self.answers: list[Outcome | BaseException] = []
        self.jobs: list[tuple[str, DeliveryJob, bytes]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def deliver(self, lane: str, job: DeliveryJob) -> Sequence[Outcome]:
        rendered = await job.render(True)
        self.jobs.append((lane, job, rendered.content))
        await self.gate.wait()
        answer = self.answers.pop(0) if self.answers else OK
        if isinstance(answer, BaseException):
            raise answer
        return [answer] * len(job.entries)


@dataclass
class FlakyStore:
    """The store with troubles: the next calls of a method raise."""

    store: SqliteStore
    troubles: dict[str, int] = field(default_factory=dict)

    def _maybe(self, method: str) -> None:
        if self.troubles.get(method, 0) > 0:
            self.troubles[method] -= 1
            raise StoreError(f"{method}: disk I/O error")

    async def shift_clock(self, now: float, step: float, longest_wait: float, lifetime: float) -> None:
        self._maybe("clock_set")
        await self.store.queue.shift_clock(now, step, longest_wait, lifetime)

    async def leased_by_previous_run(self, keys: Sequence[tuple[str, int]]) -> Sequence[ClaimedBatch]:
        return await self.store.queue.leased_by_previous_run(keys)

    async def claim(self, now: float, room: ClaimLimits) -> Sequence[ClaimedBatch]:
        self._maybe("claim")
        return await self.store.queue.claim(now, room)

    async def next_due(self, busy: Sequence[str], connections: NodeConnections = ALL_CONNECTIONS) -> float | None:
        self._maybe("next_due")
        return await self.store.queue.next_due(busy, connections)

    async def apply(self, settlements: Sequence[Settlement]) -> Sequence[Settlement]:
        self._maybe("apply")
        return await self.store.queue.apply(settlements)

    async def enqueue(self, accepted: NewMessage) -> None:
        await self.store.queue.enqueue(accepted)

    async def recover(self, now: float, longest_wait: float) -> int:
        return await self.store.queue.recover(now, longest_wait)

    async def acquire(self, slot: Slot, now: float) -> float:
        self._maybe("depart")
        return await self.store.limits.acquire(slot, now)

    async def reserve(self, slots: Sequence[Slot], at: Sequence[float]) -> Sequence[float]:
        return await self.store.limits.reserve(slots, at)

    async def release(self, queue_id: str, numbers: Sequence[int]) -> None:
        await self.store.limits.release(queue_id, numbers)

    async def commit(self, queue_id: str, numbers: Sequence[int]) -> None:
        await self.store.limits.commit(queue_id, numbers)

    async def usage(self, windows: Mapping[str, tuple[Window, ...]], now: float) -> Mapping[str, Usage]:
        return await self.store.limits.usage(windows, now)


class BrokenRenderer:
    """Raises what no renderer should."""

    async def render(self, message: RenderInput, recipients: Sequence[int], *, eight_bit: bool) -> Sequence[Rendering]:
        raise RuntimeError("the renderer is gone")


class Harness:
    """A runner with all its tools; `now` is its clock."""

    def __init__(self, store: SqliteStore, folder: Path, settings: Settings, renderer: Any = None) -> None:
        self.now = NOW
        self.clock_set_by = 0.0
        self.store = store
        self.troubled = FlakyStore(store)
        self.delivery = ScriptedDelivery()
        self.journal, self.noted = DeliveryJournalFile.open(folder / "deliveries.journal", self.journal_failing)
        self.events: list[Event] = []
        self.raised: list[tuple[str, str]] = []
        self.troubles: list[str] = []
        self.steps: list[float] = []
        serial = count()
        keys = Keys(parse_keyring([new_key(bytes(range(32)))]))
        policy = BouncePolicy(load_bounce_rules(None), 3)
        self.tools = QueueContext(
            settings=lambda: settings,
            bounce_policy=lambda: policy,
            store=self.troubled,
            nodes=store.nodes,
            limits=self.troubled,
            exclusion=Exclusion(store.suppressions, store.unsubscribes),
            journal=self.journal,
            delivery=self.delivery,
            renderer=renderer or InlineRenderer(keys),
            clock=lambda: self.now,
            steady=lambda: self.now - self.clock_set_by,
            jitter=lambda: 0.0,
            new_id=lambda now: f"0000000000R{next(serial):03}",
            publish=self.events.extend,
            watch=self,
        )
        self.runner = Runner(self.tools, asyncio.Event())

    def unexpected(self, queue_id: str, error: BaseException) -> None:
        self.raised.append((queue_id, repr(error)))

    def alert(self, lane: str, category: str, reply: str, guidance: str) -> None:
        self.raised.append((lane, category))

    def clock_set(self, step: float) -> None:
        self.steps.append(step)

    def journal_failing(self, error: OSError) -> None:
        self.troubles.append(str(error))

    def store_trouble(self, error: StoreError) -> None:
        self.troubles.append(str(error))

    async def enqueue(self, *recipients: str, queue_id: str = "0000000000000A", **policy: Any) -> None:
        lifetime = 3 * 86400.0
        message = Message(
            queue_id, NOW, "app@acme.test", MessagePolicy(**policy), header_from="app@acme.test", size=len(CONTENT)
        )
        entries = tuple(
            Entry(queue_id, number, address, f"mx:{address.partition('@')[2]}", NOW, NOW + lifetime, NOW)
            for number, address in enumerate(recipients)
        )
        await self.store.queue.enqueue(NewMessage(message, CONTENT, entries))
        self.runner.wake()

    async def entries(self) -> list[Entry]:
        found = await self.store.queue.entries(EntryQuery(states=EVERY))
        return [entry for _, entry in found if not entry.queue_id.startswith("0000000000R")]

    async def until(self, ready: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not await ready():
                await asyncio.sleep(0.005)

    @property
    def is_telling(self) -> bool:
        """Whether an attempt has not ended: it publishes its events after the store shows what it came to."""
        return bool(self.runner._attempts)

    async def until_settled(self) -> list[Entry]:
        """Return the entries once none is active and each was tried."""

        async def settled() -> bool:
            entries = await self.entries()
            return not self.is_telling and all(one.state is not State.ACTIVE and one.attempts for one in entries)

        await self.until(settled)
        return await self.entries()


def settings(**sections: Any) -> Settings:
    return Settings.model_validate({"server": {"hostname": "relay.test"}, **sections})


@asynccontextmanager
async def running(folder: Path, of: Settings | None = None, renderer: Any = None) -> AsyncIterator[Harness]:
    store = await SqliteStore.open(folder / "relay.db", now=NOW)
    house = Harness(store, folder, of or settings(), renderer)
    task = asyncio.create_task(house.runner.run())
    try:
        yield house
    finally:
        house.delivery.gate.set()
        await house.runner.stop(5)
        await task
        house.journal.close()
        await store.close()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (runner_module, settler_module):
        monkeypatch.setattr(module, "STORE_RETRY", 0.01)


async def test_recipients_of_one_lane_share_a_transaction(tmp_path: Path) -> None:
    async with running(tmp_path) as house:
        await house.enqueue("a@x.test", "b@x.test", "c@y.test")
        entries = await house.until_settled()
        assert {one.state for one in entries} == {State.DELIVERED}
        assert sorted((lane, [one.recipient for one in job.entries]) for lane, job, _ in house.delivery.jobs) == [
            ("mx:x.test", ["a@x.test", "b@x.test"]),
            ("mx:y.test", ["c@y.test"]),
        ]
        assert await house.store.queue.content("0000000000000A") is None


@pytest.mark.parametrize("policy", [{"tracking": TRACKING}, {"return_path": "bounces.acme.test"}])
async def test_whose_bytes_differ_gets_a_transaction_of_its_own(tmp_path: Path, policy: dict[str, Any]) -> None:
    async with running(tmp_path) as house:
        await house.enqueue("a@x.test", "b@x.test", **policy)
        await house.until_settled()
        assert sorted(one.recipient for _, job, _ in house.delivery.jobs for one in job.entries) == [
            "a@x.test",
            "b@x.test",
        ]
        assert len(house.delivery.jobs) == 2
        if "tracking" in policy:
            first, second = (content for _, _, content in house.delivery.jobs)
            assert first != second


async def test_what_a_delivery_raises_defers_the_message(tmp_path: Path) -> None:
    async with running(tmp_path) as house:
        house.delivery.answers = [ZeroDivisionError("oops")]
        await house.enqueue("a@x.test")
        (entry,) = await house.until_settled()
        assert (entry.state, entry.attempts) == (State.WAITING, 1)
        assert entry.next_attempt_at == NOW + 60
        assert entry.last_reply is not None
        assert entry.last_reply.code == 451
        assert house.raised == [("0000000000000A", "ZeroDivisionError('oops')")]
        assert [one.kind for one in house.events] == [Kind.PROCESSED, Kind.DEFERRED]


async def test_what_was_accepted_before_lane_feedback_raises_is_delivered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def half(lane: str, job: DeliveryJob) -> Sequence[Outcome]:
        return [OK, NO]

    def broken(lanes: LaneTable, lane: str) -> None:
        raise RuntimeError("no such lane")

    async with running(tmp_path) as house:
        monkeypatch.setattr(house.delivery, "deliver", half)
        monkeypatch.setattr(LaneTable, "accepted", broken)
        await house.enqueue("a@x.test", "b@x.test")
        first, second = await house.until_settled()
        assert (first.state, first.last_reply) == (State.DELIVERED, OK.reply)
        assert (second.state, second.last_reply, second.attempts) == (State.WAITING, INTERNAL_ERROR.reply, 1)
        assert house.raised == [("0000000000000A", "RuntimeError('no such lane')")]


async def test_an_alert_that_raises_strands_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*told: str) -> None:
        raise RuntimeError("nobody to tell")

    async with running(tmp_path) as house:
        monkeypatch.setattr(house, "alert", broken)
        house.delivery.answers = [Refused(Reply(554, "5.7.1", "Client host blocked using zen.spamhaus.org"), "mx")]
        await house.enqueue("a@x.test")
        (entry,) = await house.until_settled()
        assert (entry.state, entry.last_reply) == (State.WAITING, INTERNAL_ERROR.reply)
        assert house.raised == [("0000000000000A", "RuntimeError('nobody to tell')")]


@pytest.mark.parametrize(("outcome", "state"), [(OK, State.DELIVERED), (NO, State.WAITING)])
async def test_a_settlement_that_raises_strands_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcome: Outcome, state: State
) -> None:
    """What was taken is delivered; a refusal nobody can be told of is met again, and told then."""

    def broken(*of: object) -> Settlement:
        raise ZeroDivisionError("nobody knows what it means")

    async with running(tmp_path) as house:
        monkeypatch.setattr(settler_module, "settle", broken)
        house.delivery.answers = [outcome]
        await house.enqueue("a@x.test")
        (entry,) = await house.until_settled()
        assert (entry.state, entry.attempts, entry.last_reply) == (state, 1, outcome.reply)
        assert state is State.DELIVERED or entry.next_attempt_at == NOW + 60
        assert house.raised == [("0000000000000A", "ZeroDivisionError('nobody knows what it means')")]
        ending = Kind.DELIVERED if state is State.DELIVERED else Kind.DEFERRED
        assert [one.kind for one in house.events] == [Kind.PROCESSED, ending]


async def test_a_departure_that_raises_strands_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(slot: Slot, now: float) -> float:
        raise KeyError("no such ledger")

    limits = {"identities": {"app@acme.test": {"hourly_limit": 2}}}
    async with running(tmp_path, settings(**limits)) as house:
        monkeypatch.setattr(house.troubled, "acquire", broken)
        await house.enqueue("a@x.test", "b@x.test")
        entries = await house.until_settled()
        assert {(one.state, one.last_reply) for one in entries} == {(State.WAITING, INTERNAL_ERROR.reply)}
        assert house.raised == [("0000000000000A", "KeyError('no such ledger')")]
        assert not house.delivery.jobs


async def test_places_that_cannot_be_given_back_strand_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(queue_id: str, numbers: Sequence[int]) -> None:
        raise KeyError("no such ledger")

    limits = {"identities": {"app@acme.test": {"hourly_limit": 2}}}
    async with running(tmp_path, settings(**limits)) as house:
        monkeypatch.setattr(house.troubled, "release", broken)
        house.delivery.answers = [BUSY]
        await house.enqueue("a@x.test")
        (entry,) = await house.until_settled()
        assert (entry.state, entry.last_reply, entry.next_attempt_at) == (State.WAITING, BUSY.reply, NOW + 60)
        assert house.raised == [("0000000000000A", "KeyError('no such ledger')")]


async def test_a_renderer_that_is_gone_defers_the_message(tmp_path: Path) -> None:
    async with running(tmp_path, renderer=BrokenRenderer()) as house:
        await house.enqueue("a@x.test")
        (entry,) = await house.until_settled()
        assert entry.status == "deferred"
        assert house.raised == [("0000000000000A", "RuntimeError('the renderer is gone')")]


async def test_a_deferred_entry_is_tried_again_when_it_is_due(tmp_path: Path) -> None:
    async with running(tmp_path) as house:
        house.delivery.answers = [BUSY]
        await house.enqueue("a@x.test")
        await house.until_settled()
        house.now += 59.9
        house.runner.wake()
        await asyncio.sleep(0.05)
        assert len(house.delivery.jobs) == 1
        house.now += 0.1
        house.runner.wake()

        async def delivered() -> bool:
            return (await house.entries())[0].state is State.DELIVERED

        await house.until(delivered)
        assert (await house.entries())[0].attempts == 2


async def test_a_refusal_sends_a_notification_by_the_same_queue(tmp_path: Path) -> None:
    async with running(tmp_path) as house:
        house.delivery.answers = [NO]
        await house.enqueue("a@x.test")
        (entry,) = await house.until_settled()
        assert entry.state is State.BOUNCED

        async def told() -> bool:
            return len(house.delivery.jobs) == 2

        await house.until(told)
        lane, job, content = house.delivery.jobs[1]
        assert (lane, job.message.reverse_path, job.entries[0].recipient) == ("mx:acme.test", "", "app@acme.test")
        assert b"Final-Recipient: rfc822; a@x.test" in content


@pytest.mark.parametrize("method", ["claim", "next_due", "apply", "depart"])
async def test_store_trouble_keeps_what_is_in_hand_and_tries_again(tmp_path: Path, method: str) -> None:
    limits = {"identities": {"app@acme.test": {"hourly_limit": 10}}}
    async with running(tmp_path, settings(**limits)) as house:
        house.troubled.troubles = {method: 3}
        await house.enqueue("a@x.test")
        (entry,) = await house.until_settled()
        assert entry.state is State.DELIVERED
        assert len(house.delivery.jobs) == 1

        async def all_told() -> bool:
            return len(house.troubles) == 3

        await house.until(all_told)
        assert house.troubles == [f"{method}: disk I/O error"] * 3


async def test_limits_are_asked_at_departure(tmp_path: Path) -> None:
    """What was released early, as by an operator's flush, still leaves within the limits."""
    limits = {"identities": {"app@acme.test": {"hourly_limit": 2}}}
    async with running(tmp_path, settings(**limits)) as house:
        await house.enqueue(*(f"u{number}@x.test" for number in range(5)))

        async def two_left() -> bool:
            states = [one.state for one in await house.entries()]
            return states.count(State.DELIVERED) == 2 and states.count(State.WAITING) == 3

        await house.until(two_left)
        waiting = [one for one in await house.entries() if one.state is State.WAITING]
        assert all(one.release_at == one.next_attempt_at > NOW + 3599 for one in waiting)
        assert all(one.attempts == 0 for one in waiting)
        house.now = max(one.release_at for one in waiting[:2])
        house.runner.wake()

        async def four_left() -> bool:
            return [one.state for one in await house.entries()].count(State.DELIVERED) == 4

        await house.until(four_left)


async def test_notifications_have_no_limits(tmp_path: Path) -> None:
    limits = {"identities": {"app@acme.test": {"hourly_limit": 1}}}
    async with running(tmp_path, settings(**limits)) as house:
        house.delivery.answers = [NO]
        await house.enqueue("a@x.test")

        async def told() -> bool:
            return len(house.delivery.jobs) == 2

        await house.until(told)


async def test_a_lane_that_is_down_answers_for_what_comes_after(tmp_path: Path) -> None:
    async with running(tmp_path) as house:
        house.delivery.answers = [DOWN]
        await house.enqueue("a@x.test")
        await house.until_settled()
        await house.enqueue("b@x.test", queue_id="0000000000000B")
        entries = await house.until_settled()
        assert [one.status for one in entries] == ["deferred", "deferred"]
        assert entries[1].last_reply == DOWN.reply
        assert len(house.delivery.jobs) == 1


async def test_a_destination_that_blocks_us_pauses_its_lane_and_the_operator_is_told(tmp_path: Path) -> None:
    blocked = Reply(554, "5.7.1", "Service unavailable; Client host [192.0.2.9] blocked using zen.spamhaus.org")
    async with running(tmp_path) as house:
        house.delivery.answers = [Refused(blocked, "mx.x.test[192.0.2.1]:25")]
        await house.enqueue("a@x.test")
        await house.until_settled()
        await house.enqueue("b@x.test", queue_id="0000000000000B")
        entries = await house.until_settled()
        assert len(house.delivery.jobs) == 1
        assert entries[1].status == "deferred"
        assert "delivery is paused after: 554 5.7.1" in str(entries[1].last_reply)
        assert house.raised == [("mx:x.test", "blocked")]


async def test_a_slow_lane_does_not_block_another(tmp_path: Path) -> None:
    async with running(tmp_path) as house:
        house.delivery.gate.clear()
        for number in range(30):
            await house.enqueue("a@slow.test", queue_id=f"0000000000{number:04}")

        async def narrow() -> bool:
            return len(house.delivery.jobs) == 5

        await house.until(narrow)
        await house.enqueue("b@fast.test", queue_id="0000000000000B")

        async def reached() -> bool:
            return house.delivery.jobs[-1][0] == "mx:fast.test"

        await house.until(reached)
        assert len(house.delivery.jobs) == 6


async def test_stopping_lets_the_attempt_in_hand_end_and_claims_nothing_more(tmp_path: Path) -> None:
    async with running(tmp_path) as house:
        house.delivery.gate.clear()
        await house.enqueue("a@x.test")

        async def under_way() -> bool:
            return bool(house.delivery.jobs)

        await house.until(under_way)
        stopping = asyncio.create_task(house.runner.stop(10))
        await asyncio.sleep(0.02)
        await house.enqueue("b@y.test", queue_id="0000000000000B")
        assert not stopping.done()
        house.delivery.gate.set()
        await stopping
        assert {one.recipient: one.state for one in await house.entries()} == {
            "a@x.test": State.DELIVERED,
            "b@y.test": State.WAITING,
        }


async def test_an_attempt_that_does_not_end_in_time_is_left_to_the_next_start(tmp_path: Path) -> None:
    async with running(tmp_path) as house:
        house.delivery.gate.clear()
        await house.enqueue("a@x.test")

        async def under_way() -> bool:
            return bool(house.delivery.jobs)

        await house.until(under_way)
        await house.runner.stop(0.01)
        assert [one.state for one in await house.entries()] == [State.ACTIVE]
    again = await SqliteStore.open(tmp_path / "relay.db", now=NOW)
    try:
        assert await again.queue.recover(NOW, 100.0) == 1
        (found,) = await again.queue.entries(EntryQuery())
        assert (found[1].state, found[1].attempts) == (State.WAITING, 0)
        assert (await again.reports.stories(MessageQuery(recipient="a@x.test")))[0].message.queue_id == "0000000000000A"
    finally:
        await again.close()
