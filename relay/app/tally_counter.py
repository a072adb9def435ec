"""Counts the events of this process for the tallies, until they are written."""

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence

from relay.events.event import Event, Kind
from relay.reports.tallies import ReaderAction, TallyKey, engagement_of, keys_of

MAX_ACTIONS = 100_000
"""Opens and clicks that wait, at most: while the store fails the oldest are not counted."""

_READ = frozenset({Kind.OPEN, Kind.CLICK})


class TallyCounter:
    """What happened since the last `take`."""

    def __init__(self) -> None:
        self._counts: Counter[TallyKey] = Counter()
        self._readers: deque[Event] = deque(maxlen=MAX_ACTIONS)
        self._actions: Sequence[ReaderAction] = ()

    def count_mail(self, events: Iterable[Event]) -> None:
        """Count events of mail."""
        for event in events:
            self._counts.update(keys_of(event))

    def count_readers(self, events: Iterable[Event]) -> None:
        """Note opens and clicks. They come in thousands a second, so that they are read later."""
        self._readers.extend(event for event in events if event.kind in _READ and "simulated" not in event.data)

    def take(self) -> tuple[Counter[TallyKey], list[ReaderAction]]:
        """Return the counts and the actions of readers, and begin anew."""
        counts, self._counts = self._counts, Counter()
        actions = [*self._actions, *map(_action, self._readers)]
        self._actions = ()
        self._readers.clear()
        return counts, actions

    def give_back(self, counts: Mapping[TallyKey, int], actions: Sequence[ReaderAction]) -> None:
        """Keep for the next `take` what could not be written."""
        self._counts.update(counts)
        self._actions = actions[-MAX_ACTIONS:]


def _action(event: Event) -> ReaderAction:
    return ReaderAction(event.queue_id, event.number, event.at, engagement_of(event.kind, event.data))
