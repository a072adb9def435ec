"""Counts the outcomes of the mail of identities, by which they are paused."""

from collections.abc import Iterable

from relay.dsn.categories import CATEGORIES
from relay.events.event import Event, Kind
from relay.limits.outcome_rates import OutcomeCounts

_NOTHING = OutcomeCounts()

_SENT = OutcomeCounts(sent=1)

_BOUNCED = OutcomeCounts(bounced=1)

_COMPLAINT = OutcomeCounts(complaints=1)

_COUNTED = frozenset({Kind.DELIVERED, Kind.BOUNCED, Kind.COMPLAINT})

_NOT_COUNTED = frozenset({"origin", "copy", "unproven", "simulated"})
"""Fields of events that count as nothing."""


def outcome_counts(event: Event) -> OutcomeCounts:
    """Return what an event adds to the outcomes of its identity.

    A report that nothing proves counts as nothing, like mail of the relay itself, copies and simulated mail. A bounce
    counts if the address is wrong, or if its category pauses identities: a destination that is down is no fault of the
    sender.
    """
    data = event.data
    if event.kind not in _COUNTED or not _NOT_COUNTED.isdisjoint(data):
        return _NOTHING
    if event.kind is Kind.DELIVERED:
        return _SENT
    if event.kind is Kind.COMPLAINT:
        return _COMPLAINT

    about = CATEGORIES.get(str(data.get("category", "")))
    is_counted = about is not None and (about.kind == "hard" or about.lane == "pause-identity")
    sent = _NOTHING if data.get("late") else _SENT
    return sent.plus(_BOUNCED) if is_counted else sent


class OutcomeCounter:
    """The outcomes of each identity since the last `take`."""

    def __init__(self) -> None:
        self._counts: dict[str, OutcomeCounts] = {}

    def count(self, events: Iterable[Event]) -> None:
        """Count events. Only mail of listed identities has an identity."""
        for event in events:
            identity = str(event.data.get("identity", ""))
            if identity and (found := outcome_counts(event)) is not _NOTHING:
                self.add(identity, found)

    def add(self, identity: str, counts: OutcomeCounts) -> None:
        """Add outcomes of an identity."""
        self._counts[identity] = self._counts.get(identity, _NOTHING).plus(counts)

    def take(self) -> dict[str, OutcomeCounts]:
        """Return the counts, and begin anew."""
        counts, self._counts = self._counts, {}
        return counts
