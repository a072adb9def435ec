"""Finds and leases the entries of a claim, in the transaction of the writer."""

from collections.abc import Mapping, Sequence

from relay.mail.transaction import MAX_RECIPIENTS
from relay.queue.entry import LaneFlow
from relay.storage.database import Connection
from relay.storage.integrity import Stored, Unreadable, intact_message, read_stored
from relay.storage.recent_messages import RecentMessages
from relay.storage.rows import CLAIM_COLUMNS, Row

DUE = (
    f"SELECT {CLAIM_COLUMNS} FROM entries INDEXED BY entries_open "  # noqa: S608  names of the schema
    "WHERE state = 'waiting' AND lane = ? AND principal = ? AND priority = ? "
    "ORDER BY next_attempt_at, queue_id, number LIMIT ?"
)

COMPANIONS = (
    f"SELECT {CLAIM_COLUMNS} FROM entries WHERE queue_id = ? AND lane = ? AND state = 'waiting' "  # noqa: S608
    "AND next_attempt_at <= ? ORDER BY number LIMIT ?"
)

LEASE = "UPDATE entries SET state = 'active', lease = ? WHERE queue_id = ? AND number = ?"


class ClaimSource:
    """Finds and leases the entries of a claim. This class queries each flow and each message separately."""

    def __init__(self, raw: Connection, lease: str, unreadable: Unreadable, recent: RecentMessages) -> None:
        self.raw = raw
        self.lease = lease
        self._unreadable = unreadable
        self._recent = recent
        self._taken: list[Row] = []
        """Entries whose lease is not written yet."""

    def prefetch(self, wanted: Mapping[LaneFlow, int], octets: int) -> None:
        """Announce the next calls: the number of entries by flow, and the octets left for contents."""

    def first(self, flow: LaneFlow, most: int) -> list[Row]:
        """Return at most `most` waiting entries of the flow, in order of due time."""
        self._write_leases()
        return self.raw.execute(DUE, (*flow, most)).fetchall()

    def same_message(self, queue_id: str, lane: str, now: float) -> list[Row]:
        """Return the due entries of a message in a lane, at most one transaction's recipients."""
        self._write_leases()
        return self.raw.execute(COMPANIONS, (queue_id, lane, now, MAX_RECIPIENTS)).fetchall()

    def message(self, queue_id: str, most: int) -> Stored:
        """Return a message. A content of more than `most` octets is not read."""
        return self._recent.take(queue_id, most) or intact_message(queue_id, self._row(queue_id, most))

    def _row(self, queue_id: str, most: int) -> Row | None:
        """Return the row of a message; None if there is none."""
        return read_stored(self.raw, queue_id, self._unreadable, most)

    def take(self, rows: Sequence[Row]) -> None:
        """Lease these entries, at the latest in `finish`."""
        self._taken += rows

    def finish(self) -> None:
        """Complete the claim: nothing more is taken."""
        self._write_leases()

    def _write_leases(self) -> None:
        if self._taken:
            self.raw.executemany(LEASE, [(self.lease, row[0], row[1]) for row in self._taken])
            self._taken = []
