"""The ledgers of identities and providers in memory, with the places of each entry. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from relay.limits.ports import Slot, Usage
from relay.limits.window import Ledger, SlotKind, Window, earliest

PlaceKey = tuple[str, int, str]
"""Queue id, number, ledger key."""


Place = tuple[float, SlotKind]
"""A time and what it stands for."""


class LedgerBook:
    """All ledgers, and what has changed in them since it was last asked. Not for use from several threads."""

    def __init__(self) -> None:
        self._ledgers: dict[str, Ledger] = {}
        self._places: dict[tuple[str, int], dict[str, Place]] = {}
        self._changes: dict[PlaceKey, Place | None] = {}

    def changes(self) -> dict[PlaceKey, Place | None]:
        """Return the places that changed since the last call, None for what was given back."""
        changes, self._changes = self._changes, {}
        return changes

    def enter(self, key: PlaceKey, place: Place | None) -> None:
        """Note what is stored about a place: where it is, or that it was given back."""
        queue_id, number, ledger = key
        known = self._places.get((queue_id, number), {}).pop(ledger, None)
        if known is not None:
            self._ledgers[ledger].remove(*known)
        if place is not None:
            self._ledgers.setdefault(ledger, Ledger()).add(*place)
            self._places.setdefault((queue_id, number), {})[ledger] = place

    def reserve(self, slots: Sequence[Slot], at: Sequence[float]) -> list[float]:
        """Enter each slot at the earliest time, not before its `at`, that breaks none of its windows."""
        times = []
        for slot, wanted in zip(slots, at, strict=True):
            self._leave(slot.queue_id, slot.number)
            times.append(self._put(slot, (earliest(self._of(slot), wanted), SlotKind.RESERVED)))
        return times

    def acquire(self, slot: Slot, now: float) -> float:
        """Move the slot to `now` if its windows allow that, else to the next free time; return where it is."""
        self._leave(slot.queue_id, slot.number)
        if all(ledger.has_capacity(limits, now) for ledger, limits in self._of(slot)):
            return self._put(slot, (now, SlotKind.SENT))
        return self._put(slot, (earliest(self._of(slot), now, SlotKind.OVERDUE), SlotKind.OVERDUE))

    def release(self, queue_id: str, numbers: Iterable[int]) -> None:
        """Give the places of entries back."""
        for number in numbers:
            self._leave(queue_id, number)

    def commit(self, queue_id: str, numbers: Iterable[int]) -> None:
        """Let what left count for good, under a name of its own, so that the entry's next place does not replace it."""
        for number in numbers:
            places = self._places.get((queue_id, number), {})
            left = {key: place for key, place in places.items() if place[1] is SlotKind.SENT}
            self._leave(queue_id, number)
            for key, place in left.items():
                self._register((f"{queue_id}~{place[0]:.6f}", number, key), place)

    def usage(self, windows: Mapping[str, Sequence[Window]], now: float) -> dict[str, Usage]:
        """Return how the ledgers stand."""
        return {key: _usage(self._ledgers.get(key, Ledger()), limits, now) for key, limits in windows.items()}

    def sweep(self, old: float) -> None:
        """Drop places from before that time: no window can see them any more."""
        for ledger in self._ledgers.values():
            ledger.forget_before(old)
        self._ledgers = {key: ledger for key, ledger in self._ledgers.items() if not ledger.is_empty}
        self._places = {
            entry: kept
            for entry, places in self._places.items()
            if (kept := {key: place for key, place in places.items() if place[0] >= old})
        }

    def _of(self, slot: Slot) -> list[tuple[Ledger, tuple[Window, ...]]]:
        return [(self._ledgers.setdefault(key, Ledger()), limits) for key, limits in slot.windows.items()]

    def _put(self, slot: Slot, place: Place) -> float:
        for key in slot.windows:
            self._register((slot.queue_id, slot.number, key), place)
        return place[0]

    def _register(self, key: PlaceKey, place: Place) -> None:
        self.enter(key, place)
        self._changes[key] = place

    def _leave(self, queue_id: str, number: int) -> None:
        for key, place in self._places.pop((queue_id, number), {}).items():
            self._ledgers[key].remove(*place)
            self._changes[queue_id, number, key] = None


def _usage(ledger: Ledger, limits: Sequence[Window], now: float) -> Usage:
    left = tuple(ledger.sent_within(window.span, now) for window in limits)
    return Usage(left, ledger.waiting(now), ledger.next_free(limits, now))
