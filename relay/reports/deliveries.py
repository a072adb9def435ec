"""The report on deliveries: what became of the recipients, in all and by destination. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from relay.mail.address import domain_of
from relay.queue.entry import FINAL, State
from relay.reports.forms import Form
from relay.reports.ports import Failure, Tally


@dataclass(frozen=True, slots=True)
class Counts:
    """Recipients by what became of them. What bounced after its delivery counts as bounced."""

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


def counts_by_domain(tallies: Iterable[Tally], bounced: Iterable[Failure]) -> dict[str, Counts]:
    """Return the counts by the recipients' domain; `bounced` has one failure for each recipient at most."""
    counted: dict[str, Counts] = {}
    for one in tallies:
        state = State(one.state)
        name = state.value if state in FINAL else "waiting"
        counted[one.destination] = counted.get(one.destination, Counts()) + Counts(**{name: one.count})
    for failure in bounced:
        name = domain_of(failure.address)
        if failure.data.get("late") and counted.get(name, Counts()).delivered:
            counted[name] += Counts(delivered=-1, bounced=1)
    return counted


def counts_form(counts: Counts) -> Form:
    """Return counts with the share that bounced of what was decided."""
    decided = counts.delivered + counts.bounced
    return {
        "recipients": decided + counts.dropped + counts.waiting,
        "delivered": counts.delivered,
        "bounced": counts.bounced,
        "dropped": counts.dropped,
        "waiting": counts.waiting,
        "bounce_rate": round(counts.bounced / decided, 4) if decided else 0.0,
    }


def delivery_report(tallies: Iterable[Tally], bounced: Iterable[Failure]) -> Form:
    """Return the totals and the destinations, the largest first."""
    latest = {(one.queue_id, one.number): one for one in bounced}
    by_domain = counts_by_domain(tallies, latest.values())
    rows = [{"destination": name, **counts_form(counts)} for name, counts in by_domain.items()]
    rows.sort(key=lambda row: (-int(str(row["recipients"])), str(row["destination"])))
    return {**counts_form(sum(by_domain.values(), Counts())), "destinations": rows}
