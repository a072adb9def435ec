"""Selects which claimed entries may be sent now and by which provider, and updates their slots in the rate limits."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from relay.limits.ports import Slot
from relay.limits.principal import limits_for, principal_of, provider_limits
from relay.limits.window import Ledgers
from relay.mail.lane import DIRECT, lane_of
from relay.queue.bounce_policy import Judged, account_refusal
from relay.queue.context import STORE_RETRY, QueueContext
from relay.queue.entry import Entry, State
from relay.queue.exclusion_check import drop_excluded
from relay.queue.lane_feedback import as_deferred
from relay.queue.lanes import LaneTable
from relay.queue.message import ClaimedBatch, Message, Settlement
from relay.queue.outcome import Deferred
from relay.queue.ports import StoreError
from relay.queue.routing import (
    LanePause,
    Route,
    candidates,
    choose_route,
    fallbacks_after,
    next_fallback,
    paused_reason,
    provider_of,
    refused_reason,
    reroute,
    reschedule,
)

T = TypeVar("T")


UNKNOWN = "there is no [[provider]] of that name any more"


@dataclass(frozen=True, slots=True)
class Selection:
    """The entries to send now, and the settlement of all others."""

    claimed: ClaimedBatch
    settlement: Settlement = field(default_factory=lambda: Settlement(()))
    """Excluded entries are dropped, and those without a free slot wait, perhaps in another lane."""
    answer: Deferred | None = None
    """The outcome of the entries to send while their lane is paused, instead of a delivery."""


class Dispatcher:
    """Selects, by exclusion lists, rate limits and lanes, which claimed entries may be sent now."""

    def __init__(self, tools: QueueContext, lanes: LaneTable) -> None:
        self._tools = tools
        self._lanes = lanes

    async def prepare(self, claimed: ClaimedBatch) -> Selection:
        """Return the entries that may be sent now, and the settlement of all others."""
        wanted, dropped = await drop_excluded(self._tools, claimed)
        if not wanted.entries:
            return Selection(wanted, dropped)
        selection = await self._select(wanted)
        waiting = selection.settlement.entries
        return replace(selection, settlement=replace(dropped, entries=dropped.entries + waiting))

    async def _select(self, claimed: ClaimedBatch) -> Selection:
        """Take a slot for each entry, at its provider or at a fallback. An entry without one waits for it."""
        now, lane = self._tools.clock(), claimed.entries[0].lane
        here, policy = provider_of(lane), claimed.message.policy
        order = candidates(here, policy)
        ledgers, of_copies = (
            {way: self._ledgers(claimed.message, way, is_copy=is_copy) for way in order} for is_copy in (False, True)
        )
        if not any(ledgers.values()) and not self._paused((here,), claimed.entries[0].recipient, now):
            return Selection(claimed)

        await self._give_back(claimed.message.queue_id, [entry for entry in claimed.entries if entry.uncertain])
        sent: list[Entry] = []
        waiting: list[Entry] = []
        for entry in claimed.entries:
            limits = of_copies if entry.number in policy.copies else ledgers
            open_to_it = {way: limits[way] for way in candidates(here, policy, entry.last_reply)}
            way = await self._way(entry, here, open_to_it, now)
            if way.provider == here and way.at <= now:
                sent.append(entry)
            else:
                waiting.append(reschedule(entry, way, now))
        return Selection(
            replace(claimed, entries=tuple(sent)), Settlement(tuple(waiting)), self._lanes.failure(lane, now)
        )

    def defer_to_fallback(self, claimed: ClaimedBatch, judged: Sequence[Judged]) -> Sequence[Judged]:
        """Defer what a provider refused for a reason that need not hold at the next provider of the policy."""
        lane = claimed.entries[0].lane
        if not fallbacks_after(provider_of(lane), claimed.message.policy):
            return judged
        return [as_deferred(one, elsewhere=True) if account_refusal(one, lane) else one for one in judged]

    async def after_attempt(
        self, claimed: ClaimedBatch, judged: Sequence[Judged], settlement: Settlement
    ) -> Settlement:
        """Release the slots of entries that were not sent, and route them to a fallback that is open.

        An entry whose attempt may have succeeded keeps its slot, and its next attempt is at the same provider.
        """
        message, here = claimed.message, provider_of(claimed.entries[0].lane)
        again = [entry for entry in settlement.entries if entry.state is State.WAITING]
        given_up = [
            entry
            for entry, one in zip(settlement.entries, judged, strict=True)
            if entry.is_final and isinstance(one.outcome, Deferred) and not one.outcome.uncertain
        ]
        if (again or given_up) and self._ledgers(message, here):
            await self._give_back(message.queue_id, again + given_up)
        if not again:
            return settlement

        now = self._tools.clock()
        refused = {
            entry.number: str(one.outcome.reply)
            for entry, one in zip(claimed.entries, judged, strict=True)
            if isinstance(one.outcome, Deferred) and one.outcome.elsewhere
        }
        ways: dict[int, Route] = {}
        for entry in again:
            paused = self._paused(candidates(here, message.policy), entry.recipient, now)
            to = None if entry.uncertain else next_fallback(here, message.policy, paused)
            if to is not None and entry.number in refused:
                ways[entry.number] = Route(to, now, refused_reason(here, to, refused[entry.number]))
            elif to is not None and here in paused:
                ways[entry.number] = Route(to, now, paused_reason(here, to, paused[here]))
        return reroute(settlement, ways, now)

    async def _way(self, entry: Entry, here: str, ledgers: Mapping[str, Ledgers], now: float) -> Route:
        """Ask the open providers in turn for a free slot, and choose. Slots of the others are released."""
        paused = self._paused(tuple(ledgers), entry.recipient, now)
        asked: list[tuple[str, float]] = []
        is_limited = any(ledgers.values())
        for provider in (one for one in ledgers if one not in paused):
            asked.append((provider, await self._depart(entry, ledgers[provider], now) if is_limited else now))
            if asked[-1][1] <= now or f"provider:{provider}" not in ledgers[provider]:
                break  # The provider has no limit of its own: the identity has no slot, whatever the provider.
        chosen = choose_route(here, asked, paused, now)
        if is_limited and (not asked or asked[-1][0] != chosen.provider):
            at = await self._depart(entry, {} if chosen.provider in paused else ledgers[chosen.provider], now)
            return chosen if chosen.provider in paused else replace(chosen, at=at)
        return chosen

    def _ledgers(self, message: Message, way: str, *, is_copy: bool = False) -> Ledgers:
        """Return the windows of a message, or of its copies, at that provider. Notifications have none.

        Copies and mail that is passed on count for nobody who sends, only for the provider. The null reverse-path of an
        application makes its mail no notification.
        """
        if not message.reverse_path and (not message.client or message.policy.forward_domain):
            return {}
        settings = self._tools.settings()
        if is_copy or message.policy.forward_domain:
            return provider_limits(settings, way)
        author = message.header_from or message.reverse_path
        return limits_for(settings, principal_of(settings, author, message.credential, message.client), way)

    async def _depart(self, entry: Entry, ledgers: Ledgers, now: float) -> float:
        """Acquire a slot in the ledgers. Without ledgers, release the slots that the entry has elsewhere."""
        limits = self._tools.limits
        if ledgers:
            slot = Slot(entry.queue_id, entry.number, ledgers)
            return await self._insist(lambda: limits.acquire(slot, now))
        await self._insist(lambda: limits.release(entry.queue_id, [entry.number]))
        return now

    async def _give_back(self, queue_id: str, entries: Sequence[Entry]) -> None:
        """Release the slots of entries that were not sent, and keep those of entries that may have been."""
        limits = self._tools.limits
        left = [entry.number for entry in entries if entry.uncertain]
        stayed = [entry.number for entry in entries if not entry.uncertain]
        if left:
            await self._insist(lambda: limits.commit(queue_id, left))
        if stayed:
            await self._insist(lambda: limits.release(queue_id, stayed))

    def _paused(self, ways: Sequence[str], recipient: str, now: float) -> dict[str, LanePause]:
        """Return the providers that are paused, or configured no more."""
        settings = self._tools.settings()
        paused: dict[str, LanePause] = {}
        for way in ways:
            if way != DIRECT and settings.provider(way) is None:
                paused[way] = LanePause(math.inf, UNKNOWN)
            elif (pause := self._lanes.pause(lane_of(way, recipient), now)) is not None:
                paused[way] = pause
        return paused

    async def _insist(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Repeat the request until the limit store answers."""
        while True:
            try:
                return await ask()
            except StoreError as error:
                self._tools.watch.store_trouble(error)
                await asyncio.sleep(STORE_RETRY)
