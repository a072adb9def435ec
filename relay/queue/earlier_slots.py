"""Gives waiting entries earlier slots: after limits were raised, and after slots became free."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from relay.limits.ports import Slot
from relay.log import Emit
from relay.mail.lane import BUILT_IN, lane_of
from relay.queue.changes import EntryChange
from relay.queue.context import QueueContext, retry_store
from relay.queue.entry import Entry, State
from relay.queue.message import Message
from relay.queue.ports import EntryQuery, QueueAdminStore
from relay.queue.routing import LanePause, Route, candidates, ledgers_of, provider_of

BATCH = 200
"""Entries whose slots are computed together, at most: computing blocks the event loop."""

GAIN = 1.0
"""Seconds by which a slot must be earlier: less is not worth a write."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An entry that waits for its release time."""

    message: Message
    entry: Entry
    earliest: float
    """Unix seconds: now, or the time of X-Relay-Send-At."""
    providers: tuple[str, ...]
    """The providers that may send it, in order of preference, without paused ones."""

    @property
    def key(self) -> tuple[str, int]:
        """Queue id and number."""
        return self.entry.queue_id, self.entry.number


class SlotAdvancer:
    """Moves waiting entries to earlier slots, in order of acceptance, so that no limit delays them longer than it must.

    A slot never moves to a later time here: limits that were lowered are applied when an entry is due.
    """

    def __init__(
        self,
        context: QueueContext,
        entries: QueueAdminStore,
        *,
        pauses: Callable[[], Mapping[str, LanePause]],
        wake: Callable[[], None],
        log: Emit,
    ) -> None:
        """`pauses` returns the paused lanes, `wake` wakes the runner."""
        self._context = context
        self._entries = entries
        self._pauses = pauses
        self._wake = wake
        self._log = log
        self._requested = asyncio.Event()

    def request(self) -> None:
        """Run again: limits changed, or slots were released."""
        self._requested.set()

    async def run(self) -> None:
        """Run once at the start, when the configuration may be a new one, and at each request, until cancelled."""
        while True:
            self._requested.clear()
            if moved := await self.advance():
                self._log("queue.advanced", entries=moved)
            await self._requested.wait()

    async def advance(self) -> int:
        """Move all entries that can be released earlier. Return their number."""
        page: EntryQuery | None
        page = EntryQuery(states=(State.WAITING,), released_after=self._context.clock(), limit=BATCH)
        moved = 0
        while page is not None:
            advanced, page = await self._advance_page(page)
            moved += advanced
            if advanced:
                self._wake()
        return moved

    async def _advance_page(self, page: EntryQuery) -> tuple[int, EntryQuery | None]:
        """Return the number of moved entries, and the next page, None behind the last."""
        found = await retry_store(self._context, lambda: self._entries.entries(page))
        paused = self._pauses()
        waiting = [one for message, entry in found if (one := self._waiting(message, entry, paused)) is not None]
        routes = await self._earlier_routes(waiting)

        change = _move(routes)
        changed = await retry_store(self._context, lambda: self._entries.change(page, change)) if routes else None
        last = found[-1][1] if len(found) == page.limit else None
        following = replace(page, after=(last.queue_id, last.number)) if last else None
        return len(changed.entries) if changed else 0, following

    def _waiting(self, message: Message, entry: Entry, paused: Collection[str]) -> _Waiting | None:
        """Return what an entry waits for; None if it cannot be released earlier, or must keep its retry time."""
        send_at = message.policy.send_at
        if send_at is None or entry.uncertain:
            return None
        earliest = max(self._context.clock(), send_at)
        settings = self._context.settings()
        providers = [
            provider
            for provider in candidates(provider_of(entry.lane), message.policy, entry.last_reply)
            if (provider in BUILT_IN or settings.provider(provider))
            and lane_of(provider, entry.recipient) not in paused
        ]
        return _Waiting(message, entry, earliest, tuple(providers)) if earliest < entry.release_at else None

    async def _earlier_routes(self, waiting: Sequence[_Waiting]) -> Mapping[tuple[str, int], Route]:
        """Return the routes of entries with earlier slots, which are reserved. Fallbacks are asked after all others."""
        routes = {one.key: Route("", one.entry.release_at) for one in waiting}
        for turn in range(max((len(one.providers) for one in waiting), default=0)):
            asking = [one for one in waiting if turn < len(one.providers) and one.earliest < routes[one.key].at - GAIN]
            before = [routes[one.key].at - GAIN for one in asking]
            for one, at, latest in zip(asking, await self._reserve(asking, turn, before), before, strict=True):
                if at < latest:
                    routes[one.key] = Route(one.providers[turn], at)
        return {key: route for key, route in routes.items() if route.provider}

    async def _reserve(self, asking: Sequence[_Waiting], turn: int, before: Sequence[float]) -> Sequence[float]:
        """Move the slots of entries to that provider of each, where that is earlier than `before`."""
        slots = [self._slot(one, one.providers[turn]) for one in asking]
        starts = [one.earliest for one in asking]
        return await retry_store(self._context, lambda: self._context.limits.advance(slots, starts, before))

    def _slot(self, one: _Waiting, provider: str) -> Slot:
        is_copy = one.entry.number in one.message.policy.copies
        return Slot(*one.key, ledgers_of(self._context.settings(), one.message, provider, is_copy=is_copy))


def _move(routes: Mapping[tuple[str, int], Route]) -> EntryChange:
    """Return the change that gives waiting entries these routes. The lifetime after the release keeps its length."""

    def change(_: Message, entry: Entry) -> tuple[Entry, tuple[()]] | None:
        route = routes.get((entry.queue_id, entry.number))
        if route is None or entry.state is not State.WAITING or route.at >= entry.release_at:
            return None
        lane = lane_of(route.provider, entry.recipient)
        gained = 0.0 if entry.attempts else entry.release_at - max(route.at, entry.created_at)
        moved = replace(
            entry,
            lane=lane,
            release_at=route.at,
            next_attempt_at=route.at,
            expires_at=entry.expires_at - gained,
            reason=entry.reason if lane == entry.lane else f"sent by {route.provider}: it has capacity earlier",
        )
        return moved, ()

    return change
