"""Ways: by which provider an entry goes now, of those in its policy: the first that works and has room. Pure.

A way is the name of a provider, or "direct". Mail keeps the way it has while that is open and has room now; else it
takes the first that does; when none has, it waits for the one that is free first.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from relay.events.event import Kind
from relay.mail.lane import DIRECT, lane_of, split_lane
from relay.mail.reply import Reply
from relay.queue.entry import Entry, State, move
from relay.queue.message import Settlement
from relay.render.message_policy import MessagePolicy


@dataclass(frozen=True, slots=True)
class LanePause:
    """Why a way cannot be taken, and until when."""

    until: float
    why: str
    """The reply after which it was paused."""


@dataclass(frozen=True, slots=True)
class Route:
    """What was chosen for an entry: it leaves by that provider, then. `why` it is another one, or paused; else ""."""

    provider: str
    at: float
    why: str = ""


def provider_of(lane: str) -> str:
    """Return the way a lane belongs to."""
    return split_lane(lane)[0]


def candidates(here: str, policy: MessagePolicy, last_reply: Reply | None = None) -> tuple[str, ...]:
    """Return the ways of an entry in the order in which they are asked: the one it has, then those of its policy.

    What was refused for good on its way here does not go back to whoever refused it: it would come again at once.
    """
    if last_reply is not None and last_reply.is_permanent:
        return here, *fallbacks_after(here, policy)
    return tuple(dict.fromkeys((here, *policy.providers)))


def choose_route(here: str, asked: Sequence[tuple[str, float]], paused: Mapping[str, LanePause], now: float) -> Route:
    """Choose among the ways that are open, `asked` with the time at which each has room, and those that are paused.

    With no open way the entry stays where it is, and its pause answers for it. An open one without room waits, unless
    a paused one comes back earlier.
    """
    if not asked:
        return Route(here, now)
    taken = next((way for way, at in asked if at <= now), None)
    if taken is not None:
        return Route(taken, now, _why(here, taken, asked, paused))
    back = ((way, pause.until) for way, pause in paused.items())
    provider, at = min((*asked, *back), key=lambda found: found[1])
    return Route(provider, at, _why(here, provider, asked, paused))


def fallbacks_after(here: str, policy: MessagePolicy) -> tuple[str, ...]:
    """Return the ways that come after one in the order of the policy."""
    order = policy.providers
    behind = order[order.index(here) + 1 :] if here in order else ()
    return tuple(way for way in behind if way != here)


def next_fallback(here: str, policy: MessagePolicy, paused: Collection[str]) -> str | None:
    """Return the next open way behind one that has just failed, None when there is none.

    It never leads back: a round through all the ways is one attempt of the schedule each.
    """
    return next((way for way in fallbacks_after(here, policy) if way not in paused), None)


def reschedule(entry: Entry, way: Route, now: float) -> Entry:
    """Return an active entry that waits for its way: at once where it changed lanes, else for its release time.

    What nobody has tried yet keeps its lifetime, however long it waits for its turn.
    """
    lane = lane_of(way.provider, entry.recipient)
    waiting = replace(move(entry, State.WAITING), lane=lane, next_attempt_at=max(way.at, now))
    waiting = replace(waiting, reason=way.why) if way.why else waiting
    if way.at <= now:
        return waiting
    lifetime = entry.expires_at - max(entry.created_at, entry.release_at)
    expires_at = entry.expires_at if entry.attempts else max(entry.expires_at, way.at + lifetime)
    return replace(waiting, release_at=way.at, expires_at=expires_at)


def reroute(settlement: Settlement, ways: Mapping[int, Route], now: float) -> Settlement:
    """Return the settlement with entries sent on by another way at once, by number; their events say so."""
    entries = tuple(
        replace(
            entry,
            lane=lane_of(ways[entry.number].provider, entry.recipient),
            next_attempt_at=now,
            reason=ways[entry.number].why,
        )
        if entry.number in ways
        else entry
        for entry in settlement.entries
    )
    events = tuple(
        replace(event, data={**event.data, "next_attempt_at": now, "way": ways[event.number].why})
        if event.number in ways and event.kind is Kind.DEFERRED
        else event
        for event in settlement.events
    )
    return replace(settlement, entries=entries, events=events)


def paused_reason(here: str, to: str, pause: LanePause) -> str:
    """Say in words why mail leaves a way that is paused."""
    return f"{provider_label(here)} is paused: {pause.why}; sent by {to}"


def refused_reason(here: str, to: str, reply: str) -> str:
    """Say in words why mail leaves a way that refused it."""
    return f"{provider_label(here)} refused it: {reply}; sent by {to}"


def provider_label(way: str) -> str:
    """Return what people call a way."""
    return "direct delivery" if way == DIRECT else f"provider {way}"


def _why(here: str, to: str, asked: Sequence[tuple[str, float]], paused: Mapping[str, LanePause]) -> str:
    waits = f"waits for {provider_label(to)}, paused: {paused[to].why}" if to in paused else ""
    if to == here:
        return waits
    if here in paused:
        return paused_reason(here, to, paused[here])
    free_at = next((at for way, at in asked if way == here), 0.0)
    moment = datetime.fromtimestamp(free_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"{provider_label(here)} has no room before {moment}; {waits or f'sent by {to}'}"
