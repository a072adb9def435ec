"""In-memory ledgers of identities and providers, with the slots of each entry. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from relay.limits.ports import Slot, Usage
from relay.limits.window import Ledger, SlotKind, Window, earliest

SlotKey = tuple[str, int, str]
"""Queue id, number, ledger key."""

SlotTime = tuple[float, SlotKind]
"""Unix time and kind of a slot."""


class LedgerBook:
    """All ledgers, and their changes since the last call of `changes`. Not thread-safe."""

    def __init__(self) -> None:
        self._ledgers: dict[str, Ledger] = {}
        self._slots: dict[tuple[str, int], dict[str, SlotTime]] = {}
        self._changes: dict[SlotKey, SlotTime | None] = {}

    def changes(self) -> dict[SlotKey, SlotTime | None]:
        """Return the slots that changed since the last call, None for released ones."""
        changes, self._changes = self._changes, {}
        return changes

    def enter(self, key: SlotKey, entered: SlotTime | None) -> None:
        """Load a stored slot, None for a released one."""
        queue_id, number, ledger = key
        previous = self._slots.get((queue_id, number), {}).pop(ledger, None)
        if previous is not None:
            self._ledgers[ledger].remove(*previous)
        if entered is not None:
            self._ledgers.setdefault(ledger, Ledger()).add(*entered)
            self._slots.setdefault((queue_id, number), {})[ledger] = entered

    def reserve(self, slots: Sequence[Slot], at: Sequence[float]) -> list[float]:
        """Enter each slot at the earliest time, not before its `at`, that its windows allow."""
        times = []
        for slot, wanted in zip(slots, at, strict=True):
            self._remove(slot.queue_id, slot.number)
            times.append(self._put(slot, (earliest(self._of(slot), wanted), SlotKind.RESERVED)))
        return times

    def advance(self, slots: Sequence[Slot], at: Sequence[float], before: Sequence[float]) -> list[float]:
        """Move each slot to the earliest time from its `at` that its windows allow, if that is before `before`.

        Else nothing changes, and the time returned is `before`.
        """
        times = []
        for slot, wanted, latest in zip(slots, at, before, strict=True):
            moment = min(self._earliest_without(slot, wanted), latest)
            if moment < latest:
                self._remove(slot.queue_id, slot.number)
                self._put(slot, (moment, SlotKind.RESERVED))
            times.append(moment)
        return times

    def acquire(self, slot: Slot, now: float) -> float:
        """Move the slot to `now` if its windows allow that, else to the next free time; return its time."""
        self._remove(slot.queue_id, slot.number)
        if all(ledger.has_capacity(limits, now) for ledger, limits in self._of(slot)):
            return self._put(slot, (now, SlotKind.SENT))
        return self._put(slot, (earliest(self._of(slot), now, SlotKind.OVERDUE), SlotKind.OVERDUE))

    def release(self, queue_id: str, numbers: Iterable[int]) -> None:
        """Release the slots of entries."""
        for number in numbers:
            self._remove(queue_id, number)

    def commit(self, queue_id: str, numbers: Iterable[int]) -> None:
        """Count sent messages permanently, each under a key of its own that the entry's next slot does not replace."""
        for number in numbers:
            slots = self._slots.get((queue_id, number), {})
            sent = {key: entered for key, entered in slots.items() if entered[1] is SlotKind.SENT}
            self._remove(queue_id, number)
            for key, entered in sent.items():
                self._register((f"{queue_id}~{entered[0]:.6f}", number, key), entered)

    def usage(self, windows: Mapping[str, Sequence[Window]], now: float) -> dict[str, Usage]:
        """Return the usage of each ledger, by key."""
        return {key: _usage(self._ledgers.get(key, Ledger()), limits, now) for key, limits in windows.items()}

    def sweep(self, old: float) -> None:
        """Drop slots from before that time, which no window covers any more."""
        for ledger in self._ledgers.values():
            ledger.forget_before(old)
        self._ledgers = {key: ledger for key, ledger in self._ledgers.items() if not ledger.is_empty}
        self._slots = {
            entry: kept
            for entry, slots in self._slots.items()
            if (kept := {key: entered for key, entered in slots.items() if entered[0] >= old})
        }

    def _earliest_without(self, slot: Slot, at: float) -> float:
        """Return the earliest time for a slot as if the entry had none yet."""
        present = self._slots.get((slot.queue_id, slot.number), {})
        for key, entered in present.items():
            self._ledgers[key].remove(*entered)
        moment = earliest(self._of(slot), at)
        for key, entered in present.items():
            self._ledgers[key].add(*entered)
        return moment

    def _of(self, slot: Slot) -> list[tuple[Ledger, tuple[Window, ...]]]:
        return [(self._ledgers.setdefault(key, Ledger()), limits) for key, limits in slot.windows.items()]

    def _put(self, slot: Slot, entered: SlotTime) -> float:
        for key in slot.windows:
            self._register((slot.queue_id, slot.number, key), entered)
        return entered[0]

    def _register(self, key: SlotKey, entered: SlotTime) -> None:
        self.enter(key, entered)
        self._changes[key] = entered

    def _remove(self, queue_id: str, number: int) -> None:
        for key, entered in self._slots.pop((queue_id, number), {}).items():
            self._ledgers[key].remove(*entered)
            self._changes[queue_id, number, key] = None


def _usage(ledger: Ledger, limits: Sequence[Window], now: float) -> Usage:
    sent = tuple(ledger.sent_within(window.span, now) for window in limits)
    return Usage(sent, ledger.waiting(now), ledger.next_free(limits, now))
