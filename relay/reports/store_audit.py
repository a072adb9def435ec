"""The audit: compares the entries of messages with the events that were recorded with them.

Each accepted recipient has one entry, one event `created`, and in a final state one event of that state. Entry and
event are written in one transaction, so that any difference is a leak: a defect, or damage to the store.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from relay.events.event import Kind
from relay.queue.entry import FINAL, State

ACCEPTED = "accepted"
"""Column of the recipients that were accepted; the other columns are the states."""

STATES = tuple(state.value for state in State)
"""The states of an entry, in the order of their columns."""

FINAL_KINDS = tuple(state.value for state in State if state in FINAL)
"""Kinds of the events that end an entry; each has the name of the state."""

COMPARED = (Kind.CREATED.value, *FINAL_KINDS)
"""Kinds of the events that are compared. A bounce after the delivery (`late`) is not: it changes no entry."""

MAX_LEAKS = 1_000
"""Leaks that an audit names, at most: a lost table makes one of each recipient. The others are counted."""

_UNFINISHED = frozenset(STATES) - frozenset(FINAL_KINDS)


@dataclass(frozen=True, slots=True)
class AuditedEntry:
    """The state of an entry, and whether a process holds its lease."""

    state: str
    leased: bool


@dataclass(frozen=True, slots=True)
class AuditedMessage:
    """The rows of one queue id. Without a row in `messages`, `created_at` is the time of its first event."""

    queue_id: str
    created_at: float
    identity: str = ""
    is_stored: bool = True
    """Whether `messages` has its row."""
    is_record: bool = False
    """Whether it only records inbound mail that was not forwarded: it was never accepted for delivery."""
    has_content: bool = False
    entries: Mapping[int, AuditedEntry] = field(default_factory=dict)
    """By number."""
    events: Mapping[int, Counter[str]] = field(default_factory=dict)
    """Number of events of the compared kinds, by number of the entry."""


@dataclass(frozen=True, slots=True, order=True)
class Leak:
    """A difference between what was accepted and what the store has."""

    queue_id: str
    number: int
    """Number of the entry, -1 for a fault of the whole message."""
    fault: str
    day: str = ""
    identity: str = ""


def day_of(at: float) -> str:
    """Return the day (UTC) of a Unix time, such as "2030-01-31"."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


def find_leaks(message: AuditedMessage, complete_since: float) -> list[Leak]:
    """Return all leaks of a message.

    Events of messages from before `complete_since` may be deleted already: these messages are compared without events.
    """
    compared = message.created_at >= complete_since
    faults = [(-1, fault) for fault in _message_faults(message, compared=compared)]
    if message.is_stored:
        for number, entry in sorted(message.entries.items()):
            faults += [(number, fault) for fault in _entry_faults(entry)]
            if compared:
                found = message.events.get(number, Counter())
                faults += [(number, fault) for fault in _event_faults(entry, found, is_record=message.is_record)]
        if compared:
            faults += [
                (number, f"has events ({_listed(found)}), and no entry")
                for number, found in sorted(message.events.items())
                if number not in message.entries
            ]

    day = day_of(message.created_at)
    return [Leak(message.queue_id, number, fault, day, message.identity) for number, fault in faults]


def _message_faults(message: AuditedMessage, *, compared: bool) -> list[str]:
    if not message.is_stored:
        faults = [f"{len(message.entries)} entries belong to no message"] if message.entries else []
        if message.has_content:
            faults.append("a content belongs to no message")
        if compared and any(found[Kind.CREATED.value] for found in message.events.values()):
            faults.append("was accepted, and the message is not in the store")
        return faults

    if not message.entries:
        return ["the message has no entries"]
    unfinished = any(entry.state in _UNFINISHED for entry in message.entries.values())
    if unfinished and not message.has_content:
        return ["entries are not final, and the content is gone"]
    if message.has_content and not unfinished:
        return ["all entries are final, and the content is kept"]
    return []


def _entry_faults(entry: AuditedEntry) -> list[str]:
    if entry.state not in STATES:
        return [f'has the unknown state "{entry.state}"']
    if entry.state == State.ACTIVE and not entry.leased:
        return ["is active, and no process holds its lease"]
    return []


def _event_faults(entry: AuditedEntry, found: Counter[str], *, is_record: bool) -> list[str]:
    faults = []
    created = found[Kind.CREATED.value]
    if created != 1 and not (is_record and not created):
        faults.append(f"has {created} events created, not one")
    for kind in FINAL_KINDS:
        expected = int(entry.state == kind)
        if found[kind] > 1:
            faults.append(f"has {found[kind]} events {kind}")
        elif found[kind] < expected:
            faults.append(f"is {kind}, and has no event {kind}")
        elif found[kind] > expected:
            faults.append(f"is {entry.state}, and has the event {kind}")
    return faults


def _listed(found: Mapping[str, int]) -> str:
    return ", ".join(sorted(kind for kind, count in found.items() if count))


@dataclass(slots=True)
class StoreAudit:
    """The sums and leaks of the messages added so far."""

    complete_since: float
    """Unix time; events of older messages may be deleted."""
    rows: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    """Numbers of recipients by day and identity: accepted, and in each state."""
    leaks: list[Leak] = field(default_factory=list)
    """The first `MAX_LEAKS` leaks."""
    leak_count: int = 0
    """Number of all leaks."""

    def add(self, messages: Iterable[AuditedMessage]) -> None:
        """Count the recipients of messages, and compare them."""
        for message in messages:
            found = find_leaks(message, self.complete_since)
            self.leak_count += len(found)
            self.leaks += found[: MAX_LEAKS - len(self.leaks)]
            key = (day_of(message.created_at), message.identity)
            accepted = self._accepted(message)
            if accepted or message.entries:
                row = self.rows.setdefault(key, Counter())
                row[ACCEPTED] += accepted
                row.update(entry.state for entry in message.entries.values())

    def _accepted(self, message: AuditedMessage) -> int:
        """Return the recipients accepted: the events say so, the entries where the events are not complete."""
        if message.created_at < self.complete_since or message.is_record:
            return len(message.entries)
        return sum(found[Kind.CREATED.value] for found in message.events.values())

    def total(self) -> Counter[str]:
        """Return the sums over all days and identities."""
        return sum(self.rows.values(), Counter())

    def difference(self, row: Mapping[str, int]) -> int:
        """Return the accepted recipients without a state; negative for entries that were never accepted."""
        return row[ACCEPTED] - sum(count for name, count in row.items() if name != ACCEPTED)

    @property
    def is_balanced(self) -> bool:
        """Whether accepted = delivered + bounced + dropped + waiting + held + active everywhere, without a leak."""
        return not self.leak_count and not any(map(self.difference, self.rows.values()))
