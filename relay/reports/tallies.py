"""Tallies: how often what happened, by sending domain or identity and span of time. Pure.

Pages read them, and no events. Mail of the relay itself, copies, simulated mail and reports that nothing proves do not
count. A reader counts once for a message: by the strongest action. So a count is taken back when a person
follows a machine.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from relay.dsn.categories import CATEGORIES
from relay.events.event import Event, Kind

SPAN = 300
"""Seconds of a count, for two days."""

HOUR = 3600
"""Seconds of a count that is older, and of all counts of delays and of identities."""

FINE = 2 * 86400.0
"""Seconds for which counts of five minutes are kept."""

KEPT = 400 * 86400.0
"""Seconds for which counts are kept: a month can be compared with that of the year before."""

CAMPAIGN = "/campaign"
"""End of a kind that counts campaign mail; without it a kind counts other mail."""

BOUNCED = "bounced:"
"""Beginning of the kinds of bounces; the category follows."""

LATE = "late"
"""Kind of bounces after a delivery, which counts as delivered as well."""

DELAY = "delay:"
"""Beginning of the kinds of deliveries by their delay; its upper bound in seconds follows."""

DELAYS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 3600.0, 86400.0, float("inf"))
"""Upper bounds of delays, in seconds."""

_DELAY_KINDS = tuple(f"{DELAY}{bound:g}" for bound in DELAYS)

FOLDED = 120 * 86400
"""Seconds before that time that are searched for counts of five minutes: former versions kept them for 90 days."""

FOLDED_AT_ONCE = 86400
"""Seconds whose counts are added up in one transaction: other writes run between two of them."""

_PLAIN = frozenset(
    {Kind.CREATED, Kind.DELIVERED, Kind.DEFERRED, Kind.DROPPED, Kind.REPLY, Kind.UNSUBSCRIBE, Kind.COMPLAINT}
)

_OF_IDENTITIES = ("delivered", "complaint", LATE, BOUNCED)
"""Beginnings of the kinds that are counted by identity too: what a rate of bounces is made of."""


_NOT_COUNTED = frozenset({"origin", "copy", "unproven", "simulated"})
"""Fields of events that count as nothing."""


class TallyKey(NamedTuple):
    """What one row counts."""

    at: int
    """Unix seconds: the beginning of its span."""
    domain: str
    """A sending domain, or the address of an identity."""
    kind: str


@dataclass(frozen=True, slots=True)
class BatchName:
    """Name of counts that are written together: a store that has added them does not add them again."""

    writer: str
    """A name that no other process has, at any time."""
    number: int
    """Grows from batch to batch of this writer."""
    at: float


@dataclass(frozen=True, slots=True)
class TallySum:
    """Number of events of one kind in a span."""

    at: int
    kind: str
    count: int


Engagement = tuple[int, int]
"""The strongest that a recipient did, 0 to 3: with the pixel or a link, and with a link."""

NOBODY, MACHINE, PROXY, PERSON = range(4)

OPEN_KINDS = ("", "open:machine", "open:proxy", "open")
"""Kind of recipients by who requested the pixel or a link."""

CLICK_KINDS = ("", "click:machine", "click", "click")
"""Kind of recipients by who requested a link."""


@dataclass(frozen=True, slots=True)
class ReaderAction:
    """One request of a reader."""

    queue_id: str
    number: int
    at: float
    engagement: Engagement


@dataclass(frozen=True, slots=True)
class ReadMessage:
    """What is known of a message that was read: `engagements` by number of the recipient, before the actions."""

    domain: str
    campaign: str
    copies: frozenset[int]
    engagements: Mapping[int, Engagement]


ALL_KINDS = (
    *(kind.value for kind in sorted(_PLAIN)),
    *(LATE, BOUNCED, DELAY, *OPEN_KINDS[1:], *CLICK_KINDS[1:3]),
)
"""All kinds that are counted."""


class TallyStore(Protocol):
    """Stores the tallies. All methods raise StoreError."""

    async def add(self, counts: Mapping[TallyKey, int], batch: BatchName | None = None) -> None:
        """Add the counts to those in the store. With the name of a batch this may be repeated."""

    async def sums(
        self, since: float, until: float, kinds: Sequence[str], senders: tuple[str, ...] = (), span: int = SPAN
    ) -> Sequence[TallySum]:
        """Return the sums by kind and multiples of `span` seconds, in order of time.

        `kinds` are kinds, BOUNCED or DELAY for all that begin so; campaign mail counts too, with a kind of its own.
        `senders` are sending domains, or addresses of identities, whose counts are added; without any those of all
        domains are.
        """

    async def domains(self, since: float) -> Sequence[tuple[str, int]]:
        """Return the sending domains with their deliveries since that time, the busiest first."""

    async def read_messages(self, actions: Sequence[ReaderAction]) -> Mapping[str, ReadMessage]:
        """Return what is known of the messages of users that these actions are about, by queue id."""

    async def fold(self, before: float) -> int:
        """Add up the counts of five minutes from before that time by the hour, and end those older than KEPT.

        `before` is FINE ago. Return the number of rows that ended. Nodes may do it at once.
        """


def every_kind(kinds: Iterable[str]) -> list[str]:
    """Return kinds with those of campaign mail, and for BOUNCED and DELAY all that begin so."""
    full: list[str] = []
    for kind in kinds:
        match kind:
            case "bounced:":
                full += [f"{BOUNCED}{name}" for name in CATEGORIES]
            case "delay:":
                full += [f"{DELAY}{bound:g}" for bound in DELAYS]
            case _:
                full.append(kind)
    return [name for kind in full for name in (kind, kind + CAMPAIGN)]


def keys_of(event: Event) -> list[TallyKey]:
    """Return what an event of mail adds one to."""
    data, kinds = event.data, _kinds_of(event)
    if not kinds or not _NOT_COUNTED.isdisjoint(data):
        return []
    end = CAMPAIGN if event.labels.get("campaign") else ""
    domain, identity = str(data.get("domain", "")), str(data.get("identity", ""))
    hourly, span = int(event.at // HOUR) * HOUR, span_of(event.at)
    keys: list[TallyKey] = []
    for kind in kinds:
        keys.append(TallyKey(hourly if kind.startswith(DELAY) else span, domain, kind + end))
        if identity and kind.startswith(_OF_IDENTITIES):
            keys.append(TallyKey(hourly, identity, kind + end))
    return keys


def _kinds_of(event: Event) -> tuple[str, ...]:
    data = event.data
    if event.kind is Kind.BOUNCED:
        named = str(data.get("category") or ("expired" if data.get("reason") else ""))
        bounced = f"{BOUNCED}{named if named in CATEGORIES else 'unknown'}"
        return (bounced, LATE) if data.get("late") else (bounced,)
    if event.kind not in _PLAIN or data.get("automatic"):
        return ()
    delay = data.get("delay")
    if event.kind is Kind.DELIVERED and isinstance(delay, int | float):
        return event.kind, delay_kind(delay)
    return (event.kind,)


def span_of(at: float) -> int:
    """Return the beginning of the span of a time."""
    return int(at // SPAN) * SPAN


def delay_kind(delay: float) -> str:
    """Return the kind of deliveries with about that delay, in seconds."""
    return _DELAY_KINDS[bisect_left(DELAYS, delay)]


def engagement_of(kind: str, data: Mapping[str, object]) -> Engagement:
    """Return who acted by an open or click. A click implies an open, because images may be blocked."""
    who = MACHINE if data.get("machine") else PROXY if data.get("proxied") else PERSON
    return (who, who if kind == Kind.CLICK else NOBODY)


def stronger(one: Engagement, other: Engagement) -> Engagement:
    """Return the stronger of each."""
    if one[0] >= other[0] and one[1] >= other[1]:
        return one
    return (max(one[0], other[0]), max(one[1], other[1]))


def reader_counts(actions: Iterable[ReaderAction], messages: Mapping[str, ReadMessage]) -> dict[TallyKey, int]:
    """Return what the actions of readers add. Of messages that are not known they add nothing."""
    counts: dict[TallyKey, int] = {}
    engagements: dict[tuple[str, int], Engagement] = {}
    for action in actions:
        message = messages.get(action.queue_id)
        if message is None or action.number in message.copies:
            continue
        key = (action.queue_id, action.number)
        before = engagements.get(key) or message.engagements.get(action.number, (NOBODY, NOBODY))
        engagements[key] = after = stronger(before, action.engagement)
        end = CAMPAIGN if message.campaign else ""
        for kinds, was, now in ((OPEN_KINDS, before[0], after[0]), (CLICK_KINDS, before[1], after[1])):
            for level, change in ((now, 1), (was, -1)):
                if kinds[was] != kinds[now] and level:
                    row = TallyKey(span_of(action.at), message.domain, kinds[level] + end)
                    counts[row] = counts.get(row, 0) + change
    return counts


def added_up(sums: Iterable[TallySum]) -> dict[str, int]:
    """Return the number of each kind, campaign mail and other mail together."""
    total: dict[str, int] = {}
    for one in sums:
        kind = one.kind.removesuffix(CAMPAIGN)
        total[kind] = total.get(kind, 0) + one.count
    return total


def bounced(total: Mapping[str, int]) -> int:
    """Return the number of bounces of all categories."""
    return sum(count for kind, count in total.items() if kind.startswith(BOUNCED))


def median_delay(total: Mapping[str, int]) -> float | None:
    """Return about the delay than which half of the deliveries are faster, in seconds; None without deliveries."""
    counts = [total.get(f"{DELAY}{bound:g}", 0) for bound in DELAYS]
    half, below, lower = sum(counts) / 2, 0, 0.0
    if not half:
        return None
    for bound, count in zip(DELAYS, counts, strict=True):
        if count and below + count >= half:
            upper = bound if bound != float("inf") else lower
            return lower + (upper - lower) * (half - below) / count
        below, lower = below + count, bound
    return lower
