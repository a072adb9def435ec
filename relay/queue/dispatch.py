"""Selects which claimed entries may be sent now and by which provider, and updates their slots in the rate limits."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import assert_never

from relay.frozen import dataclass
from relay.limits.ports import Slot
from relay.limits.window import Ledgers
from relay.mail.lane import BUILT_IN, lane_of
from relay.queue.bounce_policy import Classified, account_refusal
from relay.queue.context import QueueContext, retry_store
from relay.queue.entry import Entry, State, move
from relay.queue.exclusion_check import drop_excluded, is_checked
from relay.queue.lane_feedback import as_deferred
from relay.queue.lanes import LaneTable
from relay.queue.message import NOTHING_SETTLED, ClaimedBatch, Settlement
from relay.queue.outcome import Deferred, Delivered, Outcome, Refused
from relay.queue.pause import held_back
from relay.queue.routing import (
    LanePause,
    Route,
    candidates,
    choose_route,
    fallbacks_after,
    ledgers_of,
    next_fallback,
    paused_reason,
    provider_of,
    refused_reason,
    reroute,
    reschedule,
)
from relay.queue.shared_pauses import SharedPauses

NOT_CONFIGURED = "there is no [[provider]] of that name any more"
"""Reason of the pause of a provider that was removed from the configuration."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The entries to send now, and the settlement of all others."""

    claimed: ClaimedBatch
    settlement: Settlement = NOTHING_SETTLED
    """Excluded entries are dropped, and those without a free slot wait, perhaps in another lane."""
    answer: Deferred | None = None
    """The outcome of the entries to send while their lane is paused, instead of a delivery."""


class Dispatcher:
    """Applies exclusion lists, rate limits and lane pauses to claimed entries."""

    def __init__(self, context: QueueContext, lanes: LaneTable, pauses: SharedPauses) -> None:
        self._context = context
        self._lanes = lanes
        self._pauses = pauses

    async def prepare(self, claimed: ClaimedBatch) -> Selection:
        """Return the entries that may be sent now, and the settlement of all others."""
        settled, now = NOTHING_SETTLED, self._context.clock()
        held = self._pauses.held_of(claimed)
        if held:
            await self._release_unsent(claimed.message.queue_id, [entry for entry, _ in held])
            numbers = {entry.number for entry, _ in held}
            claimed = replace(claimed, entries=tuple(one for one in claimed.entries if one.number not in numbers))
            settled = held_back(held, now)
        if not claimed.entries:
            return Selection(claimed, settled)

        wanted, dropped = claimed, NOTHING_SETTLED
        if is_checked(claimed, now):
            wanted, dropped = await drop_excluded(self._context, claimed)
        if not settled.entries and not dropped.entries:
            return Selection(wanted) if self._is_unlimited(wanted, now) else await self._select(wanted)
        settled = replace(dropped, entries=settled.entries + dropped.entries)
        if not wanted.entries:
            return Selection(wanted, settled)
        selection = await self._select(wanted)
        return replace(selection, settlement=replace(settled, entries=settled.entries + selection.settlement.entries))

    async def _select(self, claimed: ClaimedBatch) -> Selection:
        """Acquire a slot for each entry, at its provider or at a fallback. An entry without one waits for it."""
        now, lane = self._context.clock(), claimed.entries[0].lane
        here, policy, settings = provider_of(lane), claimed.message.policy, self._context.settings()
        if self._is_unlimited(claimed, now):
            return Selection(claimed)
        ledgers = {one: ledgers_of(settings, claimed.message, one) for one in candidates(here, policy)}

        # An uncertain attempt may have sent the message: it counts against the limits, and this one needs a new slot.
        await self._release_unsent(claimed.message.queue_id, [entry for entry in claimed.entries if entry.uncertain])
        copy_ledgers = {one: ledgers_of(settings, claimed.message, one, is_copy=True) for one in ledgers}
        sent: list[Entry] = []
        waiting: list[Entry] = []
        for entry in claimed.entries:
            limits = copy_ledgers if entry.number in policy.copies else ledgers
            allowed = {provider: limits[provider] for provider in candidates(here, policy, entry.last_reply)}
            route = await self._route(entry, here, allowed, now)
            if route.provider == here and route.at <= now:
                sent.append(entry)
            else:
                waiting.append(reschedule(entry, route, now))

        return Selection(
            replace(claimed, entries=tuple(sent)), Settlement(tuple(waiting)), self._lanes.failure(lane, now)
        )

    def _is_unlimited(self, claimed: ClaimedBatch, now: float) -> bool:
        """Whether no rate limit applies to the message at any of its providers, and its lane is not paused."""
        here, settings = provider_of(claimed.entries[0].lane), self._context.settings()
        for provider in candidates(here, claimed.message.policy):
            if ledgers_of(settings, claimed.message, provider):
                return False
        return not self._paused((here,), claimed.entries[0].recipient, now)

    async def give_back(self, claimed: ClaimedBatch) -> Settlement:
        """Return the settlement by which entries wait as before, without an attempt. Their slots are released."""
        message, here = claimed.message, provider_of(claimed.entries[0].lane)
        if ledgers_of(self._context.settings(), message, here):
            await self._release_unsent(message.queue_id, claimed.entries)
        return Settlement(tuple(move(entry, State.WAITING) for entry in claimed.entries))

    def defer_to_fallback(self, claimed: ClaimedBatch, classified: Sequence[Classified]) -> Sequence[Classified]:
        """Defer refusals by a provider that may not apply at the next provider of the policy."""
        lane = claimed.entries[0].lane
        if not fallbacks_after(provider_of(lane), claimed.message.policy):
            return classified
        return [as_deferred(one, elsewhere=True) if account_refusal(one, lane) else one for one in classified]

    async def after_attempt(
        self, claimed: ClaimedBatch, classified: Sequence[Classified], settlement: Settlement
    ) -> Settlement:
        """Release the slots of entries that were not sent, and route them to a fallback that is open.

        An entry whose attempt may have succeeded keeps its slot, and its next attempt is at the same provider.
        """
        message, here = claimed.message, provider_of(claimed.entries[0].lane)
        waiting = [entry for entry in settlement.entries if entry.state is State.WAITING]
        unsent = [
            entry
            for entry, one in zip(settlement.entries, classified, strict=True)
            if entry.is_final and _is_unsent(one.outcome)
        ]
        if (waiting or unsent) and ledgers_of(self._context.settings(), message, here):
            await self._release_unsent(message.queue_id, waiting + unsent)
        if not waiting:
            return settlement

        # Entries that were refused, or whose provider is paused, are retried at the next fallback at once.
        now = self._context.clock()
        refused = {
            entry.number: str(one.outcome.reply)
            for entry, one in zip(claimed.entries, classified, strict=True)
            if isinstance(one.outcome, Deferred) and one.outcome.elsewhere
        }
        routes: dict[int, Route] = {}
        for entry in waiting:
            paused = self._paused(candidates(here, message.policy), entry.recipient, now)
            to = None if entry.uncertain else next_fallback(here, message.policy, paused)
            if to is not None and entry.number in refused:
                routes[entry.number] = Route(to, now, refused_reason(here, to, refused[entry.number]))
            elif to is not None and here in paused:
                routes[entry.number] = Route(to, now, paused_reason(here, to, paused[here]))
        return reroute(settlement, routes, now)

    async def _route(self, entry: Entry, here: str, ledgers: Mapping[str, Ledgers], now: float) -> Route:
        """Request a slot from each provider that is not paused, until one has a slot now, and choose the route.

        Slots at the other providers are released.
        """
        paused = self._paused(tuple(ledgers), entry.recipient, now)
        asked: list[tuple[str, float]] = []
        is_limited = any(ledgers.values())
        for provider in (one for one in ledgers if one not in paused):
            asked.append((provider, await self._acquire_slot(entry, ledgers[provider], now) if is_limited else now))
            # Without a limit of the provider, the identity's limit is the cause: no other provider has a slot.
            if asked[-1][1] <= now or f"provider:{provider}" not in ledgers[provider]:
                break

        chosen = choose_route(here, asked, paused, now)
        # The entry holds the slot that it requested last: exchange it for one at the chosen provider.
        if is_limited and (not asked or asked[-1][0] != chosen.provider):
            at = await self._acquire_slot(entry, {} if chosen.provider in paused else ledgers[chosen.provider], now)
            return chosen if chosen.provider in paused else replace(chosen, at=at)
        return chosen

    async def _acquire_slot(self, entry: Entry, ledgers: Ledgers, now: float) -> float:
        """Acquire a slot in the ledgers. Return the Unix time at which it is free.

        Without ledgers, release the slots that the entry has elsewhere, and return `now`.
        """
        limits = self._context.limits
        if ledgers:
            slot = Slot(entry.queue_id, entry.number, ledgers)
            return await retry_store(self._context, lambda: limits.acquire(slot, now))
        await retry_store(self._context, lambda: limits.release(entry.queue_id, [entry.number]))
        return now

    async def _release_unsent(self, queue_id: str, entries: Sequence[Entry]) -> None:
        """Release the slots of entries that were not sent, and commit those of entries that may have been sent."""
        limits = self._context.limits
        maybe_sent = [entry.number for entry in entries if entry.uncertain]
        unsent = [entry.number for entry in entries if not entry.uncertain]
        if maybe_sent:
            await retry_store(self._context, lambda: limits.commit(queue_id, maybe_sent))
        if unsent:
            await retry_store(self._context, lambda: limits.release(queue_id, unsent))

    def _paused(self, providers: Sequence[str], recipient: str, now: float) -> dict[str, LanePause]:
        """Return the providers that are paused, or no longer configured."""
        settings = self._context.settings()
        paused: dict[str, LanePause] = {}
        for provider in providers:
            if provider not in BUILT_IN and settings.provider(provider) is None:
                paused[provider] = LanePause(math.inf, NOT_CONFIGURED)
            elif (pause := self._lanes.pause(lane_of(provider, recipient), now)) is not None:
                paused[provider] = pause
        return paused


def _is_unsent(outcome: Outcome) -> bool:
    """Whether the content certainly was not sent: refused before DATA, or deferred and not uncertain."""
    match outcome:
        case Delivered():
            return False
        case Refused():
            return outcome.phase != "data"
        case Deferred():
            return not outcome.uncertain
        case _:
            assert_never(outcome)
