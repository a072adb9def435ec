"""Departures: which claimed entries leave now, by which way, and what becomes of their places in the ledgers."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from relay.limits.ports import Slot
from relay.limits.principal import limits_for, principal_of, provider_limits
from relay.limits.window import Ledgers
from relay.mail.lane import DIRECT, lane_of
from relay.queue.context import STORE_RETRY, QueueContext
from relay.queue.entry import Entry, State
from relay.queue.lane_feedback import as_deferred
from relay.queue.lanes import LaneTable
from relay.queue.message import ClaimedBatch, Message, Settlement
from relay.queue.outcome import Deferred, Outcome
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
    """What leaves now, and what waits: for its turn, or in another lane. `answer` stands in for a lane that is down."""

    claimed: ClaimedBatch
    waiting: tuple[Entry, ...] = ()
    answer: Deferred | None = None


class Dispatcher:
    """Asks limits and lanes on behalf of claimed entries."""

    def __init__(self, tools: QueueContext, lanes: LaneTable) -> None:
        self._tools = tools
        self._lanes = lanes

    async def select(self, claimed: ClaimedBatch) -> Selection:
        """Tell what may leave now; the rest is to be put back into the queue as it stands."""
        now, lane = self._tools.clock(), claimed.entries[0].lane
        here, policy = provider_of(lane), claimed.message.policy
        order = candidates(here, policy)
        ledgers, of_copies = (
            {way: self._ledgers(claimed.message, way, is_copy=is_copy) for way in order} for is_copy in (False, True)
        )
        if not any(ledgers.values()) and not self._paused((here,), claimed.entries[0].recipient, now):
            return Selection(claimed)
        await self._give_back(claimed.message.queue_id, [entry for entry in claimed.entries if entry.uncertain])
        leaving: list[Entry] = []
        waiting: list[Entry] = []
        for entry in claimed.entries:
            limits = of_copies if entry.number in policy.copies else ledgers
            open_to_it = {way: limits[way] for way in candidates(here, policy, entry.last_reply)}
            way = await self._way(entry, here, open_to_it, now)
            if way.provider == here and way.at <= now:
                leaving.append(entry)
            else:
                waiting.append(reschedule(entry, way, now))
        answer = self._lanes.failure(lane, now)
        return Selection(replace(claimed, entries=tuple(leaving)), tuple(waiting), answer)

    def defer_to_fallback(self, claimed: ClaimedBatch, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
        """Put off what a provider refused for reasons that need not be those of the ways behind it."""
        lane, judge = claimed.entries[0].lane, self._tools.judge()
        if not fallbacks_after(provider_of(lane), claimed.message.policy):
            return outcomes
        return [as_deferred(one, elsewhere=True) if judge.account_refusal(lane, one) else one for one in outcomes]

    async def after_attempt(
        self, claimed: ClaimedBatch, outcomes: Sequence[Outcome], settlement: Settlement
    ) -> Settlement:
        """Give back the places of what did not leave, and send it on where another way is open.

        An attempt that may have succeeded counts as one that left, and waits before it goes any way again.
        """
        message, here = claimed.message, provider_of(claimed.entries[0].lane)
        again = [entry for entry in settlement.entries if entry.state is State.WAITING]
        given_up = [
            entry
            for entry, outcome in zip(settlement.entries, outcomes, strict=True)
            if entry.is_final and isinstance(outcome, Deferred) and not outcome.uncertain
        ]
        if (again or given_up) and self._ledgers(message, here):
            await self._give_back(message.queue_id, again + given_up)
        if not again:
            return settlement
        now = self._tools.clock()
        refused = {
            entry.number: str(outcome.reply)
            for entry, outcome in zip(claimed.entries, outcomes, strict=True)
            if isinstance(outcome, Deferred) and outcome.elsewhere
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
        """Ask the open ways one after another for room now, and choose. The places of those not chosen are given up."""
        paused = self._paused(tuple(ledgers), entry.recipient, now)
        asked: list[tuple[str, float]] = []
        is_limited = any(ledgers.values())
        for provider in (one for one in ledgers if one not in paused):
            asked.append((provider, await self._depart(entry, ledgers[provider], now) if is_limited else now))
            if asked[-1][1] <= now or f"provider:{provider}" not in ledgers[provider]:
                break  # Without a quota of its own it is the identity that has no room, whichever way.
        chosen = choose_route(here, asked, paused, now)
        if is_limited and (not asked or asked[-1][0] != chosen.provider):
            at = await self._depart(entry, {} if chosen.provider in paused else ledgers[chosen.provider], now)
            return chosen if chosen.provider in paused else replace(chosen, at=at)
        return chosen

    def _ledgers(self, message: Message, way: str, *, is_copy: bool = False) -> Ledgers:
        """Return the windows that hold for a message, or for copies of it, by that way; notifications have none.

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
        """Ask the ledgers; where there is none, give up the place the entry may have in others."""
        limits = self._tools.limits
        if ledgers:
            slot = Slot(entry.queue_id, entry.number, ledgers)
            return await self._insist(lambda: limits.acquire(slot, now))
        await self._insist(lambda: limits.release(entry.queue_id, [entry.number]))
        return now

    async def _give_back(self, queue_id: str, entries: Sequence[Entry]) -> None:
        """Free the places of what did not leave, so that they hold up nobody; keep those of what may have."""
        limits = self._tools.limits
        left = [entry.number for entry in entries if entry.uncertain]
        stayed = [entry.number for entry in entries if not entry.uncertain]
        if left:
            await self._insist(lambda: limits.commit(queue_id, left))
        if stayed:
            await self._insist(lambda: limits.release(queue_id, stayed))

    def _paused(self, ways: Sequence[str], recipient: str, now: float) -> dict[str, LanePause]:
        """Return the ways that cannot be taken now."""
        settings = self._tools.settings()
        paused: dict[str, LanePause] = {}
        for way in ways:
            if way != DIRECT and settings.provider(way) is None:
                paused[way] = LanePause(math.inf, UNKNOWN)
            elif (pause := self._lanes.pause(lane_of(way, recipient), now)) is not None:
                paused[way] = pause
        return paused

    async def _insist(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask the limits until they answer."""
        while True:
            try:
                return await ask()
            except StoreError as error:
                self._tools.watch.store_trouble(error)
                await asyncio.sleep(STORE_RETRY)
