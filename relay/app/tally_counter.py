"""Counts the events of this process for the tallies, until they are written."""

from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Mapping, Sequence

from relay.events.event import Event, Kind
from relay.reports.tallies import Engagement, ReaderAction, TallyKey, engagement_of, keys_of, stronger

MAX_ACTIONS = 100_000
"""Opens and clicks that wait, at most: while the store fails the oldest are not counted."""

MAX_READERS = 50_000
"""Recipients whose strongest action is known, at most. One that is forgotten is looked up in the store again."""

_READ = frozenset({Kind.OPEN, Kind.CLICK})


class TallyCounter:
    """What happened since the last `take`."""

    def __init__(self) -> None:
        self._counts: Counter[TallyKey] = Counter()
        self._actions: deque[ReaderAction] = deque(maxlen=MAX_ACTIONS)
        self._strongest: OrderedDict[tuple[str, int], Engagement] = OrderedDict()
        """What recipients did, by queue id and number. A weaker action changes no count."""

    def count_mail(self, events: Iterable[Event]) -> None:
        """Count events of mail."""
        for event in events:
            for key in keys_of(event):
                self._counts[key] += 1

    def count_readers(self, events: Iterable[Event]) -> None:
        """Note opens and clicks that are stronger than what the recipient did before."""
        for event in events:
            if event.kind in _READ and "simulated" not in event.data:
                self._count_reader(event)

    def take(self) -> tuple[Counter[TallyKey], list[ReaderAction]]:
        """Return the counts and the actions of readers, and begin anew."""
        counts, self._counts = self._counts, Counter()
        actions = list(self._actions)
        self._actions.clear()
        return counts, actions

    def give_back(self, counts: Mapping[TallyKey, int], actions: Sequence[ReaderAction]) -> None:
        """Keep for the next `take` what could not be written."""
        self._counts.update(counts)
        self._actions = deque([*actions, *self._actions], maxlen=MAX_ACTIONS)

    def _count_reader(self, event: Event) -> None:
        key, engagement = (event.queue_id, event.number), engagement_of(event.kind, event.data)
        known = self._strongest.get(key)
        strongest = stronger(known, engagement) if known else engagement
        if strongest == known:
            return
        self._strongest[key] = strongest
        if len(self._strongest) > MAX_READERS:
            self._strongest.popitem(last=False)
        self._actions.append(ReaderAction(event.queue_id, event.number, event.at, engagement))
