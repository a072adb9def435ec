"""Routing: chooses the provider of an entry among those of its policy. Pure.

A provider is a name, or "direct". An entry keeps its provider while that has capacity now. Else it takes the first
provider that has capacity. When none has, the entry waits for the provider that is free first.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache

from relay.config.settings import Settings
from relay.events.event import Kind
from relay.frozen import dataclass
from relay.limits.principal import limits_for, principal_of, provider_limits
from relay.limits.window import Ledgers
from relay.mail.lane import DIRECT, SIMULATOR, lane_of, split_lane
from relay.mail.reply import Reply
from relay.queue.entry import Entry, State, move
from relay.queue.message import Message, Settlement
from relay.render.message_policy import MessagePolicy


@dataclass(frozen=True, slots=True)
class LanePause:
    """The pause of a lane or provider."""

    until: float
    """Unix seconds; infinite for a provider that is not configured."""
    why: str
    """The reply that caused the pause."""


@dataclass(frozen=True, slots=True)
class Route:
    """The provider chosen for an entry, and the time of its next attempt."""

    provider: str
    at: float
    """Unix seconds."""
    why: str = ""
    """Text: why the entry changes its provider, or waits for a paused one; else ""."""


@lru_cache(maxsize=1024)
def provider_of(lane: str) -> str:
    """Return the provider of a lane, or "direct". It is cached: each attempt asks several times."""
    return split_lane(lane)[0]


def candidates(here: str, policy: MessagePolicy, last_reply: Reply | None = None) -> tuple[str, ...]:
    """Return the providers of an entry in order of preference: its present one, then those of its policy.

    A simulated entry has no other one, so that it never leaves.
    """
    if here == SIMULATOR:
        return (SIMULATOR,)
    # An entry refused permanently by an earlier provider must not return to it: it would circulate without a wait.
    if last_reply is not None and last_reply.is_permanent:
        return here, *fallbacks_after(here, policy)
    return tuple(dict.fromkeys((here, *policy.providers)))


def choose_route(here: str, asked: Sequence[tuple[str, float]], paused: Mapping[str, LanePause], now: float) -> Route:
    """Choose among the open providers, `asked` with the time at which each has a free slot, and the paused ones.

    Without an open provider the entry keeps its own, and the failure of that lane is its outcome. Without a free slot
    the entry waits for the provider that is free first, which may be a paused one.
    """
    if not asked:
        return Route(here, now)
    free = next((provider for provider, at in asked if at <= now), None)
    if free is not None:
        return Route(free, now, _why(here, free, asked, paused))

    resumed = ((provider, pause.until) for provider, pause in paused.items())
    provider, at = min((*asked, *resumed), key=lambda found: found[1])
    return Route(provider, at, _why(here, provider, asked, paused))


def fallbacks_after(here: str, policy: MessagePolicy) -> tuple[str, ...]:
    """Return the providers after `here` in the order of the policy."""
    order = policy.providers
    after = order[order.index(here) + 1 :] if here in order and here != SIMULATOR else ()
    return tuple(provider for provider in after if provider != here)


def next_fallback(here: str, policy: MessagePolicy, paused: Collection[str]) -> str | None:
    """Return the next provider after `here` that is not paused, None when there is none.

    The order never returns to an earlier provider: one round of the policy makes one attempt at each.
    """
    return next((provider for provider in fallbacks_after(here, policy) if provider not in paused), None)


def reschedule(entry: Entry, route: Route, now: float) -> Entry:
    """Return an active entry as waiting for its route: due now in another lane, else at its new release time.

    An entry without an attempt keeps its whole lifetime, however long it waits for a slot.
    """
    lane = lane_of(route.provider, entry.recipient)
    waiting = replace(move(entry, State.WAITING), lane=lane, next_attempt_at=max(route.at, now))
    waiting = replace(waiting, reason=route.why) if route.why else waiting
    if route.at <= now:
        return waiting

    lifetime = entry.expires_at - max(entry.created_at, entry.release_at)
    expires_at = entry.expires_at if entry.attempts else max(entry.expires_at, route.at + lifetime)
    return replace(waiting, release_at=route.at, expires_at=expires_at)


def reroute(settlement: Settlement, routes: Mapping[int, Route], now: float) -> Settlement:
    """Return the settlement with new routes, by entry number. Those entries are due now, and their events say why."""
    entries = tuple(
        replace(
            entry,
            lane=lane_of(routes[entry.number].provider, entry.recipient),
            next_attempt_at=now,
            reason=routes[entry.number].why,
        )
        if entry.number in routes
        else entry
        for entry in settlement.entries
    )

    events = tuple(
        replace(event, data={**event.data, "next_attempt_at": now, "way": routes[event.number].why})
        if event.number in routes and event.kind is Kind.DEFERRED
        else event
        for event in settlement.events
    )
    return replace(settlement, entries=entries, events=events)


def paused_reason(here: str, to: str, pause: LanePause) -> str:
    """Return the reason of an entry that leaves a paused provider."""
    return f"{provider_label(here)} is paused: {pause.why}; sent by {to}"


def refused_reason(here: str, to: str, reply: str) -> str:
    """Return the reason of an entry that leaves a provider that refused it."""
    return f"{provider_label(here)} refused it: {reply}; sent by {to}"


def provider_label(provider: str) -> str:
    """Return the provider as it is called in texts."""
    return "direct delivery" if provider == DIRECT else f"provider {provider}"


def _why(here: str, to: str, asked: Sequence[tuple[str, float]], paused: Mapping[str, LanePause]) -> str:
    waits = f"waits for {provider_label(to)}, paused: {paused[to].why}" if to in paused else ""
    if to == here:
        return waits
    if here in paused:
        return paused_reason(here, to, paused[here])

    free_at = next((at for provider, at in asked if provider == here), 0.0)
    moment = datetime.fromtimestamp(free_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"{provider_label(here)} has no capacity before {moment}; {waits or f'sent by {to}'}"


def ledgers_of(settings: Settings, message: Message, provider: str, *, is_copy: bool = False) -> Ledgers:
    """Return the windows of a message, or of its copies, at that provider. Notifications have none.

    Copies and forwarded mail count against the provider's limits only. Mail of an application counts even with a null
    reverse-path.
    """
    if not message.reverse_path and (not message.client or message.policy.forward_domain):
        return {}
    if is_copy or message.policy.forward_domain:
        return provider_limits(settings, provider)
    author = message.header_from or message.reverse_path
    return limits_for(settings, principal_of(settings, author, message.credential, message.client), provider)
