"""Leases: handing due entries out, voiding the leases of processes that are gone.

Operations for the writer: they run inside its transaction.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice

from relay.mail.transaction import MAX_RECIPIENTS
from relay.queue.entry import Entry, State
from relay.queue.message import ClaimedBatch, Message
from relay.queue.nodes import NodeConnections
from relay.queue.ports import ClaimLimits
from relay.storage.database import Connection
from relay.storage.due_lanes import DueLanes
from relay.storage.rows import ENTRY_COLUMNS, MESSAGE_COLUMNS, MESSAGE_WIDTH, Row, entry_of, message_of, qualified

DUE = (
    f"SELECT {ENTRY_COLUMNS} FROM entries INDEXED BY entries_open "  # noqa: S608  names of the schema
    "WHERE state IN ('waiting', 'held', 'active') AND state = 'waiting' AND lane = ? "
    "ORDER BY next_attempt_at, queue_id, number LIMIT ?"
)


COMPANIONS = (
    f"SELECT {ENTRY_COLUMNS} FROM entries WHERE queue_id = ? AND lane = ? AND state = 'waiting' "  # noqa: S608
    "AND next_attempt_at <= ? ORDER BY number LIMIT ?"
)


CONTENT = (
    f"SELECT {qualified(MESSAGE_COLUMNS, 'messages')}, content FROM messages "  # noqa: S608  names of the schema
    "JOIN contents ON contents.queue_id = messages.queue_id WHERE messages.queue_id = ?"
)


LEFT = (
    f"SELECT {ENTRY_COLUMNS} FROM entries "  # noqa: S608  names of the schema
    "WHERE queue_id = ? AND number = ? AND state = 'active' AND lease != ?"
)


LEASE = "UPDATE entries SET state = 'active', lease = ? WHERE queue_id = ? AND number = ?"


RELEASE = (
    "UPDATE entries SET state = 'waiting', lease = '' "
    "WHERE queue_id = ? AND number = ? AND state = 'active' AND lease = ?"
)


VOID = (
    "UPDATE entries SET state = 'waiting', lease = '', uncertain = true "
    "WHERE state IN ('waiting', 'held', 'active') AND state = 'active' AND lease != ?"
)


CLAMP = (
    "UPDATE entries SET next_attempt_at = CASE WHEN release_at > ?1 THEN release_at ELSE ?1 END "
    "WHERE state IN ('waiting', 'held', 'active') AND state = 'waiting' "
    "AND next_attempt_at > ?1 AND next_attempt_at > release_at"
)


LENGTHEN = (
    "UPDATE entries SET expires_at = expires_at + ? WHERE state IN ('waiting', 'held', 'active') AND created_at <= ?"
)


SHORTEN = (
    "UPDATE entries SET expires_at = CASE WHEN release_at > ?1 THEN release_at ELSE ?1 END + ?2 "
    "WHERE state IN ('waiting', 'held', 'active') "
    "AND expires_at > CASE WHEN release_at > ?1 THEN release_at ELSE ?1 END + ?2"
)


_NEXT_ATTEMPT_AT = ENTRY_COLUMNS.split(", ").index("next_attempt_at")


class ClaimSource:
    """Where a claim finds its entries, and leases them. This one asks for every lane and every message by itself."""

    def __init__(self, raw: Connection, lease: str) -> None:
        self.raw = raw
        self.lease = lease

    def prefetch(self, wanted: Mapping[str, int], octets: int) -> None:
        """Hear how many entries of which lanes are asked for next, and how much content there is room for."""

    def first(self, lane: str, most: int) -> list[Row]:
        """Return so many waiting entries of the lane at most, in order of their turn."""
        return self.raw.execute(DUE, (lane, most)).fetchall()

    def same_message(self, queue_id: str, lane: str, now: float) -> list[Row]:
        """Return the entries of a message in a lane that are due, one transaction's worth."""
        return self.raw.execute(COMPANIONS, (queue_id, lane, now, MAX_RECIPIENTS)).fetchall()

    def content(self, queue_id: str) -> Row:
        """Return the row of a message, with its content."""
        row: Row = self.raw.execute(CONTENT, (queue_id,)).fetchone()
        return row

    def take(self, rows: Sequence[Row]) -> None:
        """Lease these entries, at the latest when it is told to finish."""
        self.raw.executemany(LEASE, [(self.lease, row[0], row[1]) for row in rows])

    def finish(self) -> None:
        """Hear that nothing more is taken."""


class _Claim:
    """One claim while it is made: what it has taken and the room it has left."""

    def __init__(self, source: ClaimSource, now: float, room: ClaimLimits) -> None:
        self.source = source
        self.now = now
        self.entries_left = room.entries
        self.bytes_left = room.content_bytes
        self.out_of_bytes = False
        self.messages: dict[str, tuple[Message, bytes]] = {}
        self.claimed: list[ClaimedBatch] = []

    def has_room(self) -> bool:
        """Tell whether one more entry may be taken."""
        return self.entries_left > 0 and not self.out_of_bytes

    def take(self, lane: str, most: int) -> tuple[int, float | None]:
        """Lease so many due entries of the lane; return how many, and when the next one is due at the earliest.

        The last message may go beyond: its recipients in one lane can share one transaction.
        """
        rows = self.source.first(lane, most + 1)
        due = [row for row in rows[:most] if row[_NEXT_ATTEMPT_AT] <= self.now]
        if len(rows) > most and due and rows[most][0] == due[-1][0]:
            due = self._with_companions(lane, due)
        taken = 0
        for queue_id, group in _by_message(due):
            content = self._content(queue_id)
            if content is None:
                break
            for start in range(0, len(group), MAX_RECIPIENTS):
                entries = tuple(entry_of(row, State.ACTIVE) for row in group[start : start + MAX_RECIPIENTS])
                self.claimed.append(ClaimedBatch(*content, entries))
            taken += len(group)
            self.source.take(group)
        self.entries_left -= taken
        following = min(len(due), most)
        return taken, rows[following][_NEXT_ATTEMPT_AT] if len(rows) > following else None

    def _with_companions(self, lane: str, due: list[Row]) -> list[Row]:
        """Return the due rows with the last message's other due recipients in the lane, one transaction's worth."""
        last = due[-1][0]
        others = [row for row in due if row[0] != last]
        return others + self.source.same_message(last, lane, self.now)

    def _content(self, queue_id: str) -> tuple[Message, bytes] | None:
        """Return a message with its content, None when there is no room for that. The first always has room."""
        if queue_id not in self.messages:
            row = self.source.content(queue_id)
            content: bytes = row[MESSAGE_WIDTH]
            if self.messages and len(content) > self.bytes_left:
                self.out_of_bytes = True
                return None
            self.bytes_left -= len(content)
            self.messages[queue_id] = message_of(row), content
        return self.messages[queue_id]


def claim(
    lanes: DueLanes, now: float, room: ClaimLimits, source: Callable[[Connection], ClaimSource]
) -> Callable[[Connection], Sequence[ClaimedBatch]]:
    """Lease due entries of the source: fair shares of the room for the lanes that are due, then what is left."""

    def operation(raw: Connection) -> Sequence[ClaimedBatch]:
        lanes.refresh(raw)
        taking = _Claim(source(raw), now, room)
        places = ((lane, room.lanes.get(lane, room.per_lane)) for lane in lanes.ready(now))
        open_lanes = ((lane, free) for lane, free in places if free > 0 and room.connections.may_open(lane))
        # A lane may turn out to have nothing due after all; then those behind it get its share.
        while taking.has_room() and (free := dict(islice(open_lanes, taking.entries_left))):
            _share_out(taking, lanes, free)
        taking.source.finish()
        return taking.claimed

    return operation


def _share_out(taking: _Claim, lanes: DueLanes, free: dict[str, int]) -> None:
    """Take from these lanes, round after round, until all is taken that is due and has room."""
    while free:
        share = max(1, taking.entries_left // len(free))
        taking.source.prefetch({lane: min(share, most) for lane, most in free.items()}, taking.bytes_left)
        for lane in list(free):
            allowed = min(share, free[lane], taking.entries_left)
            taken, next_due = taking.take(lane, allowed)
            if not taking.has_room() and taken < allowed:
                return  # Its next message did not fit: the lane keeps its turn.
            lanes.served(lane, next_due, taking.now)
            free[lane] -= taken
            if taken < allowed or free[lane] <= 0:
                del free[lane]
            if not taking.has_room():
                return


def _by_message(rows: Iterable[Row]) -> Iterable[tuple[str, list[Row]]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row[0], []).append(row)
    return groups.items()


def release(lanes: DueLanes, entries: Sequence[Entry], boot: str) -> Callable[[Connection], None]:
    """Give leased entries back as they were: whoever claimed them is gone."""

    def operation(raw: Connection) -> None:
        raw.executemany(RELEASE, [(entry.queue_id, entry.number, boot) for entry in entries])
        for entry in entries:
            lanes.add(entry.lane, entry.next_attempt_at)

    return operation


def leased_before(keys: Sequence[tuple[str, int]], boot: str) -> Callable[[Connection], Sequence[ClaimedBatch]]:
    """Return those of these entries that another boot has leased, by message."""

    def operation(raw: Connection) -> Sequence[ClaimedBatch]:
        return claimed_of(raw, [row for key in keys for row in raw.execute(LEFT, (*key, boot))])

    return operation


def claimed_of(raw: Connection, rows: Iterable[Row]) -> list[ClaimedBatch]:
    """Return entries by message, with their contents."""
    claimed: list[ClaimedBatch] = []
    for queue_id, group in _by_message(rows):
        row = raw.execute(CONTENT, (queue_id,)).fetchone()
        claimed.append(ClaimedBatch(message_of(row), row[MESSAGE_WIDTH], tuple(map(entry_of, group))))
    return claimed


def recover(lanes: DueLanes, now: float, longest_wait: float, boot: str) -> Callable[[Connection], int]:
    """Void the leases of other boots, clamp waits that are too long; return how many leases were voided."""

    def operation(raw: Connection) -> int:
        voided = raw.execute(VOID, (boot,)).rowcount
        raw.execute(CLAMP, (now + longest_wait,))
        lanes.stale = True
        return voided

    return operation


def clock_set(
    lanes: DueLanes, now: float, step: float, longest_wait: float, lifetime: float
) -> Callable[[Connection], None]:
    """Follow a clock that was set: lifetimes are as long as they were, waits no longer than the schedule's."""

    def operation(raw: Connection) -> None:
        if step > 0:
            raw.execute(LENGTHEN, (step, now - step))
        else:
            raw.execute(SHORTEN, (now, lifetime))
            raw.execute(CLAMP, (now + longest_wait,))
        lanes.stale = True

    return operation


def next_due(
    lanes: DueLanes, busy: Sequence[str], connections: NodeConnections
) -> Callable[[Connection], float | None]:
    """Return when the next waiting entry is due outside the busy lanes and those left to other nodes."""
    full = frozenset(busy)

    def operation(raw: Connection) -> float | None:
        lanes.refresh(raw)
        return lanes.next_due(raw, lambda lane: lane not in full and connections.may_open(lane))

    return operation
