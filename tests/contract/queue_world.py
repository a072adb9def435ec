"""A plain model of the queue and of the servers it delivers to, and nodes made of real parts that it is compared with.

A node has a store, a settler, a delivery journal and a clock guard, as in a relay; only delivery is played. It can die
before and after each durable step.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Literal, cast

import psycopg

from relay.config.settings import Settings
from relay.delivery.delivery_journal import JOURNAL_FILE, DeliveryJournalFile
from relay.dsn.rules_file import built_in_rules
from relay.events.ports import StoreError
from relay.mail.reply import Reply
from relay.queue.bounce_policy import BouncePolicy
from relay.queue.clock_guard import ClockGuard
from relay.queue.context import QueueContext
from relay.queue.entry import State
from relay.queue.message import ClaimedBatch
from relay.queue.outcome import Deferred, Delivered, Outcome, Refused
from relay.queue.ports import JournalRecord
from relay.queue.settler import Settler
from relay.queue.site_rate import RateChange
from relay.queue.site_rates import SiteRates
from relay.storage.postgres.store import PostgresStore
from relay.storage.store import Store
from relay.suppression.exclusion import Exclusion
from tests.contract.conftest import open_at
from tests.contract.values import NOW

Key = tuple[str, int]

LIFETIME = 3 * 86400.0

RETRY = (60.0, 3600.0)

OUTCOMES: dict[str, Outcome] = {
    "taken": Delivered(Reply(250, "2.0.0", "ok"), "mx.x.test[192.0.2.1]:25"),
    "refused": Refused(Reply(550, "5.1.1", "no such user"), "mx.x.test[192.0.2.1]:25", "rcpt"),
    "busy": Deferred(Reply(451, "4.3.2", "busy"), "mx.x.test[192.0.2.1]:25", phase="rcpt"),
    "lost": Deferred(Reply(451, "4.4.2", "connection lost"), "mx.x.test[192.0.2.1]:25", uncertain=True, phase="data"),
}

SETTINGS = Settings.model_validate({"server": {"hostname": "relay.test"}, "queue": {"retry": ["60s", "1h"]}})


@dataclass
class Tracked:
    """One recipient, as the model sees it."""

    lane: str
    accepted_at: float
    """In seconds that nobody can set."""
    held_by: "Batch | None" = None
    """The batch of the claim that took it last, until it is settled, or known to be void."""
    final: State | None = None
    copies: int = 0
    """How often its server took the message."""
    excused: int = 0
    """Further copies that nobody can prevent: the reply was lost, or the one that got it died."""


@dataclass(eq=False)
class Batch:
    """Entries in the hands of a node."""

    claimed: ClaimedBatch
    offset: float
    """That of the clocks at the claim."""
    answer: str = ""
    """The outcome, once the server answered."""
    is_void: bool = False
    """Whether another node, or the next start, may have taken the entries over."""

    @property
    def keys(self) -> list[Key]:
        return [(entry.queue_id, entry.number) for entry in self.claimed.entries]


@dataclass
class World:
    """Times and entries. `now` is what clocks on the wall show; `steady` passes by itself."""

    steady: float = 0.0
    offset: float = NOW
    entries: dict[Key, Tracked] = field(default_factory=dict)
    serial: "count[int]" = field(default_factory=lambda: count(1))

    @property
    def now(self) -> float:
        return self.steady + self.offset

    def new_id(self, _: float) -> str:
        return f"M{next(self.serial):013}"


class Node:
    """One process of the relay over a folder, which can die and come back."""

    def __init__(self, world: World, folder: Path, url: str) -> None:
        self.world = world
        self.folder = folder
        self.url = url
        self.is_up = False
        self.hands: list[Batch] = []
        """What it took and did not settle."""
        self.left: list[Batch] = []
        """What it had in hand when it died."""
        self.troubles: list[str] = []
        folder.mkdir()

    async def start(self) -> list[JournalRecord]:
        """Open the store and recover, as the start of a relay does; return the records of the journal."""
        self.store: Store = await open_at(self.folder, self.url, self.world.now)
        if isinstance(self.store, PostgresStore):
            await self._beat_by_hand(self.store)
        self.journal, records = DeliveryJournalFile.open(self.folder / JOURNAL_FILE, self._journal_failing)
        self.context = self._context()
        self.settler, self.guard = Settler(self.context), ClockGuard(self.context)
        await self.settler.recover(records)
        self.journal.clear()
        self.is_up = True
        return list(records)

    async def _beat_by_hand(self, store: PostgresStore) -> None:
        """Leases end when a test wants it, and not because this machine is slow."""
        task = store._heartbeat._task
        assert task is not None
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def beat(self) -> None:
        """Renew the lease, and return the entries of nodes whose lease ended."""
        if isinstance(self.store, PostgresStore):
            await self.store._heartbeat._beat()

    async def die(self) -> None:
        """End without a word. What was in hand stays leased."""
        self.left += self.hands
        self.hands = []
        self.is_up = False
        self.journal.close()
        await self.store.close()

    async def lose_lease(self) -> None:
        """Let the last heartbeat of this node be long ago, as when its machine was suspended, or died."""

        def old() -> None:
            name = (self.folder / "node").read_text().strip()
            with psycopg.connect(self.url, autocommit=True) as raw:
                raw.execute("UPDATE nodes SET heartbeat_at = heartbeat_at - 60 WHERE node = %s", (name,))

        await asyncio.to_thread(old)

    async def check_clock(self) -> None:
        await self.guard.check(self.settler.schedule())

    def record(self, batch: Batch) -> None:
        outcome = OUTCOMES["taken"]
        assert isinstance(outcome, Delivered)
        numbers = tuple(entry.number for entry in batch.claimed.entries)
        self.journal.record(JournalRecord(batch.claimed.message.queue_id, numbers, outcome, self.world.now))

    def _context(self) -> QueueContext:
        store, policy = self.store, BouncePolicy(built_in_rules, 3)
        return QueueContext(
            settings=lambda: SETTINGS,
            bounce_policy=lambda: policy,
            store=store.queue,
            entries=store.queue,
            pauses=store.pauses,
            sites=store.sites,
            rates=SiteRates(),
            provider_digest=lambda name: "",
            nodes=store.nodes,
            limits=store.limits,
            exclusion=Exclusion(store.suppressions, store.unsubscribes),
            journal=self.journal,
            delivery=cast("Any", None),
            renderer=cast("Any", None),
            clock=lambda: self.world.now,
            steady=lambda: self.world.steady,
            jitter=lambda: 0.0,
            new_id=self.world.new_id,
            publish=lambda events: None,
            watch=self,
            prove_sender=cast("Any", None),
        )

    def _journal_failing(self, error: OSError) -> None:
        self.troubles.append(str(error))

    def unexpected(self, queue_id: str, error: BaseException) -> None:
        self.troubles.append(f"{queue_id}: {error!r}")

    def alert(self, lane: str, category: str, reply: str, guidance: str) -> None: ...

    def clock_set(self, step: float) -> None: ...

    def site_changed(self, change: RateChange) -> None: ...

    def settled_plainly(self, queue_id: str, entries: int) -> None:
        """Nothing to do."""

    def store_trouble(self, error: StoreError) -> None:
        self.troubles.append(str(error))


Moment = Literal["never", "before", "after"]
"""When a node dies in a step: before anything durable, or after all of it."""


def live(nodes: Sequence[Node]) -> list[Node]:
    return [node for node in nodes if node.is_up]
