"""The pauses in force: kept in the store, so that a restart does not end them, and shared by all nodes.

A lane that cannot be reached is not kept there: it is a finding of one node about its own network, for half a minute.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from relay.events.ports import StoreError
from relay.mail.lane import DIRECT
from relay.queue.changes import EntryChange
from relay.queue.context import QueueContext, retry_store
from relay.queue.entry import Entry, State
from relay.queue.lanes import LaneTable
from relay.queue.message import ClaimedBatch, Message
from relay.queue.operator_actions import release_held, retry_after_pause
from relay.queue.pause import Pause, hold_subjects, paused_outcome
from relay.queue.ports import EntryQuery
from relay.queue.routing import LanePause, provider_of

REFRESH = 3.0
"""Seconds between two reads of the pauses, which find those of other nodes."""


class SharedPauses:
    """Applies the pauses of the store to the lanes of this process, and adds those that this process finds."""

    def __init__(self, context: QueueContext, lanes: LaneTable, wake: Callable[[], None]) -> None:
        self._context = context
        self._lanes = lanes
        self._wake = wake
        self._known: dict[str, Pause] = {}
        self._holding: frozenset[str] = frozenset()
        """Subjects whose pauses hold entries back."""
        self._noted: list[Pause] = []
        # A read must not miss a pause that is being added: it would end it.
        self._lock = asyncio.Lock()

    async def load(self) -> None:
        """Read the pauses at the start. One of a provider whose settings changed since is ended: that is the repair."""
        await self.refresh()
        for pause in await self._context.pauses.pauses(self._context.clock()):
            if not self._is_current(pause):
                await self.resume(pause.subject)

    async def keep_fresh(self) -> None:
        """Read the pauses again and again, until cancelled."""
        while True:
            await asyncio.sleep(REFRESH)
            try:
                await self.refresh()
            except StoreError as error:
                self._context.watch.store_trouble(error)

    async def refresh(self) -> None:
        """Apply the pauses of the store: new ones hold, and those that were deleted are over. Raises StoreError."""
        async with self._lock:
            now = self._context.clock()
            found = {one.subject: one for one in await self._context.pauses.pauses(now) if self._is_current(one)}
            for subject, pause in found.items():
                if pause != self._known.get(subject) and pause.is_of_lane:
                    self._lanes.failed(subject, paused_outcome(pause.why), pause.at, pause.until, pause.why)
            ended = [one for one in self._known.values() if one.subject not in found and one.holds(now)]
            self._known = found
            self._note_holds()

        for pause in ended:
            self._lanes.resume(pause.subject)
        if ended:
            self._wake()

    def note(self, lane: str, until: float, why: str, category: str) -> None:
        """Note the pause of a lane, which `save` writes."""
        settings = "" if provider_of(lane) == DIRECT else self._context.provider_digest(provider_of(lane))
        self._noted.append(Pause(lane, self._context.clock(), until, why, category, settings))

    async def save(self) -> None:
        """Write the noted pauses. A failing store is retried without limit."""
        noted, self._noted = self._noted, []
        for pause in noted:
            await self.add(pause)

    async def add(self, pause: Pause) -> bool:
        """Write a pause; return whether its subject was not paused before."""

        async def write() -> bool:
            async with self._lock:
                new = await self._context.pauses.add([pause])
                if pause.is_of_lane:
                    self._known[pause.subject] = pause
                else:  # What is in force may be an earlier decision, or last longer.
                    stored = await self._context.pauses.pauses(pause.at)
                    self._known |= {one.subject: one for one in stored if one.subject == pause.subject}
                self._note_holds()
                return bool(new)

        return await retry_store(self._context, write)

    async def resume_of(self, subject: str, category: str) -> int | None:
        """End a pause if it is of the category, in one step for all nodes, as `resume` does; None if there is none.

        Then the pauses of the store are read: another one that remains is known. Raises StoreError.
        """
        async with self._lock:
            stored = await self._context.pauses.end(subject, category)
        await self.refresh()
        return None if stored is None else await self._release(stored)

    async def resume(self, subject: str) -> int | None:
        """End a pause, and make the entries due now that it deferred; return their number.

        None if there is no pause. Raises StoreError.
        """
        now = self._context.clock()
        lane_pause = self._lanes.pause(subject, now)
        async with self._lock:
            stored = await self._context.pauses.end(subject)
            self._known.pop(subject, None)
            self._note_holds()
        self._lanes.resume(subject)

        if stored is not None and not stored.is_of_lane:
            return await self._release(stored)
        until = lane_pause.until if lane_pause else stored.until if stored else None
        return None if until is None else await self._make_due(EntryQuery(lane=subject), retry_after_pause(now, until))

    def held_of(self, claimed: ClaimedBatch) -> Sequence[tuple[Entry, Pause]]:
        """Return the entries that a pause in force holds back, with the pause."""
        if not self._holding:
            return ()
        holds = ((entry, self.hold_of(claimed.message, entry)) for entry in claimed.entries)
        return [(entry, pause) for entry, pause in holds if pause is not None]

    def hold_of(self, message: Message, entry: Entry) -> Pause | None:
        """Return the pause in force that holds an entry back, None without one."""
        if not self._holding:
            return None
        site = self._context.rates.site_of(entry.lane)
        return self.hold(hold_subjects(message, entry, site.name if site else ""))

    def hold(self, subjects: Iterable[str]) -> Pause | None:
        """Return the first pause in force that holds entries of these subjects back, None without one."""
        now = self._context.clock()
        found = (self._known[subject] for subject in subjects if subject in self._holding)
        return next((pause for pause in found if pause.holds(now)), None)

    def holds(self) -> Sequence[Pause]:
        """Return the pauses in force that hold entries back, by subject."""
        now = self._context.clock()
        return [self._known[subject] for subject in sorted(self._holding) if self._known[subject].holds(now)]

    def identity(self, address: str) -> Pause | None:
        """Return the pause of an identity, by its canonical address; None without one."""
        pause = self._known.get(f"identity:{address}") if address else None
        return pause if pause is not None and pause.holds(self._context.clock()) else None

    def identities(self) -> Mapping[str, Pause]:
        """Return the pauses of identities, by address."""
        now = self._context.clock()
        return {one.identity: one for one in self._known.values() if one.identity and one.holds(now)}

    def lanes(self) -> Mapping[str, LanePause]:
        """Return the paused lanes, by name."""
        return self._lanes.pauses(self._context.clock())

    def _note_holds(self) -> None:
        self._holding = frozenset(one.subject for one in self._known.values() if not one.is_of_lane)

    def _is_current(self, pause: Pause) -> bool:
        """Whether the settings of the provider are those that were paused."""
        return not pause.settings or pause.settings == self._context.provider_digest(provider_of(pause.subject))

    async def _release(self, pause: Pause) -> int:
        """Make the entries due now that the pause held back; return their number."""
        return await self._make_due(_held_by(pause), release_held(self._context.clock(), pause.reason_prefix))

    async def _make_due(self, query: EntryQuery, change: EntryChange) -> int:
        """Change the waiting entries of a query, batch by batch; return the number of changed ones."""
        rest: EntryQuery | None = replace(query, states=(State.WAITING,))
        changed = 0
        while rest is not None:
            done = await self._context.entries.change(rest, change)
            changed, rest = changed + len(done.entries), done.rest
            self._wake()
        return changed


def _held_by(pause: Pause) -> EntryQuery:
    """Return a query that finds all entries that the pause holds back, and others."""
    kind, _, value = pause.subject.partition(":")
    match kind:
        case "identity":
            return EntryQuery(identity=value)
        case "sending-domain":
            return EntryQuery(domain=value)
        case "provider" if value != DIRECT:
            return EntryQuery(lane=pause.subject)
        case _:
            return EntryQuery()
