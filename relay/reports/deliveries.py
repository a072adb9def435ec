"""The delivery report: outcomes of recipients, in all and by destination. Pure functions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from relay.queue.entry import FINAL, State
from relay.reports.ports import Tally
from relay.reports.serialize import JsonObject


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of recipients by outcome. A bounce after delivery counts as bounced."""

    delivered: int = 0
    bounced: int = 0
    dropped: int = 0
    waiting: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.delivered + other.delivered,
            self.bounced + other.bounced,
            self.dropped + other.dropped,
            self.waiting + other.waiting,
        )


def counted(tallies: Iterable[Tally], late: Mapping[str, int]) -> dict[str, Counts]:
    """Return the counts by destination. `late` has the recipients that bounced after delivery, by destination."""
    found: dict[str, Counts] = {}
    for one in tallies:
        state = State(one.state)
        name = state.value if state in FINAL else "waiting"
        found[one.destination] = found.get(one.destination, Counts()) + Counts(**{name: one.count})
    for destination, count in late.items():
        moved = min(count, found.get(destination, Counts()).delivered)
        if moved:
            found[destination] += Counts(delivered=-moved, bounced=moved)
    return found


def counts_json(counts: Counts) -> JsonObject:
    """Return counts and the bounce rate: bounced of delivered and bounced."""
    decided = counts.delivered + counts.bounced
    return {
        "recipients": decided + counts.dropped + counts.waiting,
        "delivered": counts.delivered,
        "bounced": counts.bounced,
        "dropped": counts.dropped,
        "waiting": counts.waiting,
        "bounce_rate": round(counts.bounced / decided, 4) if decided else 0.0,
    }


def delivery_report(tallies: Iterable[Tally], late: Mapping[str, int]) -> JsonObject:
    """Return the totals and the destinations, largest first; `late` as for `counted`."""
    by_domain = counted(tallies, late)
    rows = [{"destination": name, **counts_json(counts)} for name, counts in by_domain.items()]
    rows.sort(key=lambda row: (-int(str(row["recipients"])), str(row["destination"])))
    return {**counts_json(sum(by_domain.values(), Counts())), "destinations": rows}
