"""Departures: which claimed entries leave now, by which way, and what becomes of their places in the ledgers."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from relay.limits.window import Window
from relay.mail.lane import DIRECT, lane_of
from relay.policy import ledgers_of, quota_of
from relay.queue.entry import Entry, State
from relay.queue.lanes import Lanes
from relay.queue.message import Claimed, Message, Settlement
from relay.queue.outcome import Deferred
from relay.queue.ports import Slot, StoreError
from relay.queue.tools import STORE_RETRY, Tools
from relay.queue.ways import Pause, Way, choose, onward, send_onward, take, way_of, ways_from

T = TypeVar("T")

UNKNOWN = "there is no [[provider]] of that name any more"


@dataclass(frozen=True, slots=True)
class Leaving:
    """What leaves now, and what waits: for its turn, or in another lane. `answer` stands in for a lane that is down."""

    claimed: Claimed
    waiting: tuple[Entry, ...] = ()
    answer: Deferred | None = None


class Departures:
    """Asks limits and lanes on behalf of claimed entries."""

    def __init__(self, tools: Tools, lanes: Lanes) -> None:
        self._tools = tools
        self._lanes = lanes

    async def leaving(self, claimed: Claimed) -> Leaving:
        """Tell what may leave now; the rest is to be put back into the queue as it stands."""
        now = self._tools.clock()
        here = way_of(claimed.entries[0].lane)
        leaving: list[Entry] = []
        waiting: list[Entry] = []
        for entry in claimed.entries:
            way = await self._way(claimed.message, entry, here, now)
            if way.provider == here and way.at <= now:
                leaving.append(entry)
            else:
                waiting.append(take(entry, way, now))
        answer = self._lanes.failure(claimed.entries[0].lane, now)
        return Leaving(replace(claimed, entries=tuple(leaving)), tuple(waiting), answer)

    async def settled(self, claimed: Claimed, settlement: Settlement) -> Settlement:
        """Give back the places of what did not leave, and send it on where another way is open.

        An attempt that may have succeeded counts as one that left, and waits before it goes any way again.
        """
        again = [entry for entry in settlement.entries if entry.state is State.WAITING]
        if not again:
            return settlement
        message, here = claimed.message, way_of(claimed.entries[0].lane)
        if self._ledgers(message, here):
            await self._give_back(message.queue_id, again)
        now = self._tools.clock()
        ways: dict[int, str] = {}
        pauses: dict[int, Pause] = {}
        for entry in again:
            paused = self._paused(ways_from(here, message.policy), entry.recipient, now)
            to = None if here not in paused or entry.uncertain else onward(here, message.policy, paused)
            if to is not None:
                ways[entry.number], pauses[entry.number] = to, paused[here]
        return send_onward(settlement, ways, pauses, now)

    async def _way(self, message: Message, entry: Entry, here: str, now: float) -> Way:
        """Ask the open ways one after another for room now, and choose. The places of those not chosen are given up."""
        order = ways_from(here, message.policy)
        paused = self._paused(order, entry.recipient, now)
        ledgers = {provider: self._ledgers(message, provider, entry.number) for provider in order}
        asked: list[tuple[str, float]] = []
        if any(ledgers.values()):
            for provider in (one for one in order if one not in paused):
                asked.append((provider, await self._depart(entry, ledgers[provider], now)))
                if asked[-1][1] <= now or f"provider:{provider}" not in ledgers[provider]:
                    break  # Without a quota of its own it is the identity that has no room, whichever way.
        else:
            asked = [(provider, now) for provider in order if provider not in paused]
        chosen = choose(here, asked, paused, now)
        if any(ledgers.values()) and (not asked or asked[-1][0] != chosen.provider):
            at = await self._depart(entry, {} if chosen.provider in paused else ledgers[chosen.provider], now)
            return chosen if chosen.provider in paused else replace(chosen, at=at)
        return chosen

    def _ledgers(self, message: Message, way: str, number: int | None = None) -> Mapping[str, tuple[Window, ...]]:
        """Return the windows that hold for a message, or one entry of it, by that way; notifications have none.

        Copies and mail that is passed on count for nobody who sends, only for the provider.
        """
        if not message.reverse_path:
            return {}
        settings, policy = self._tools.settings(), message.policy
        if policy.forward_domain or number in policy.copies:
            return quota_of(settings, way)
        return ledgers_of(settings, message.header_from or message.reverse_path, way)

    async def _depart(self, entry: Entry, ledgers: Mapping[str, tuple[Window, ...]], now: float) -> float:
        """Ask the ledgers; where there is none, give up the place the entry may have in others."""
        limits = self._tools.limits
        if ledgers:
            slot = Slot(entry.queue_id, entry.number, ledgers)
            return await self._insist(lambda: limits.depart(slot, now))
        await self._insist(lambda: limits.forget(entry.queue_id, [entry.number]))
        return now

    async def _give_back(self, queue_id: str, entries: Sequence[Entry]) -> None:
        """Free the places of what did not leave, so that they hold up nobody; keep those of what may have."""
        limits = self._tools.limits
        left = [entry.number for entry in entries if entry.uncertain]
        stayed = [entry.number for entry in entries if not entry.uncertain]
        if left:
            await self._insist(lambda: limits.keep(queue_id, left))
        if stayed:
            await self._insist(lambda: limits.forget(queue_id, stayed))

    def _paused(self, ways: Sequence[str], recipient: str, now: float) -> dict[str, Pause]:
        """Return the ways that cannot be taken now."""
        settings = self._tools.settings()
        paused: dict[str, Pause] = {}
        for way in ways:
            if way != DIRECT and settings.provider(way) is None:
                paused[way] = Pause(math.inf, UNKNOWN)
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
