"""Due entries for a claim: those of all lanes in one statement, their messages in another."""

from collections.abc import Collection, Mapping, Sequence

from relay.content_file import LARGE
from relay.mail.transaction import MAX_RECIPIENTS
from relay.queue.entry import LaneFlow
from relay.storage.claim_source import ClaimSource
from relay.storage.content_pieces import with_unread
from relay.storage.database import Connection
from relay.storage.integrity import STORED, Unreadable, read_stored
from relay.storage.message_queries import EntryKey
from relay.storage.postgres.leases import Lease
from relay.storage.recent_messages import RecentMessages
from relay.storage.rows import CLAIM_COLUMNS, Row, qualified

DUE = (
    f"SELECT {qualified(CLAIM_COLUMNS, 'due')}, coalesce(size, 0) "  # noqa: S608  names of the schema
    "FROM unnest(?::text[], ?::text[], ?::smallint[], ?::bigint[]) AS wanted (lane, principal, priority, most) "
    f"CROSS JOIN LATERAL (SELECT {CLAIM_COLUMNS} FROM entries WHERE state = 'waiting' AND entries.lane = wanted.lane "
    "AND entries.principal = wanted.principal AND entries.priority = wanted.priority "
    "ORDER BY next_attempt_at, queue_id, number LIMIT wanted.most FOR UPDATE SKIP LOCKED) AS due "
    "LEFT JOIN messages ON messages.queue_id = due.queue_id"
)

COMPANIONS = (
    f"SELECT {CLAIM_COLUMNS} FROM entries WHERE queue_id = ? AND lane || '' = ? AND state || '' = 'waiting' "  # noqa: S608
    "AND next_attempt_at <= ? ORDER BY number LIMIT ? FOR UPDATE SKIP LOCKED"
)
"""Finds rows by the message: written so, no planner scans a lane for them."""

CONTENTS = (
    f"SELECT {STORED.format(condition='messages.queue_id = ANY(?::text[])')} FROM messages "  # noqa: S608
    "LEFT JOIN contents ON contents.queue_id = messages.queue_id WHERE messages.queue_id = ANY(?::text[])"
)

TAKE = (
    "UPDATE entries SET state = 'active', lease = ?, lease_number = ? "
    "FROM unnest(?::text[], ?::int[]) AS taken (queue_id, number) "
    "WHERE entries.queue_id = taken.queue_id AND entries.number = taken.number"
)

_WIDTH = CLAIM_COLUMNS.count(",") + 1

_NEXT_ATTEMPT_AT = CLAIM_COLUMNS.split(", ").index("next_attempt_at")

_LANE, _PRINCIPAL, _PRIORITY = map(CLAIM_COLUMNS.split(", ").index, LaneFlow._fields)


class PostgresClaimSource(ClaimSource):
    """Finds entries that no other node is claiming: all lanes in one statement, all messages in another."""

    def __init__(self, raw: Connection, lease: Lease, held: Collection[EntryKey], recent: RecentMessages) -> None:
        super().__init__(raw, lease.node, Unreadable(), recent)
        self._number = lease.number
        self._held = held
        self._rows: dict[LaneFlow, list[Row]] = {}
        self._contents: dict[str, Row] = {}
        self._taken: list[Row] = []

    def prefetch(self, wanted: Mapping[LaneFlow, int], octets: int) -> None:
        """Lock the entries, one more of each flow than `wanted`; read their messages within `octets`."""
        self.finish()
        columns = [list(column) for column in zip(*wanted, strict=True)]
        found = self.raw.execute(DUE, (*columns, [most + 1 for most in wanted.values()])).fetchall()

        # Claims from before this node's lease expired may still be running: their entries are left to other nodes.
        rows = sorted(
            (row for row in found if (row[0], row[1]) not in self._held),
            key=lambda row: (row[_NEXT_ATTEMPT_AT], row[0], row[1]),
        )

        self._rows = {flow: [] for flow in wanted}
        sizes: dict[str, int] = {}
        for row in rows:
            self._rows[LaneFlow(row[_LANE], row[_PRINCIPAL], row[_PRIORITY])].append(row)
            sizes[row[0]] = row[_WIDTH]
        known = self._contents, self._recent
        sizes = {queue_id: size for queue_id, size in sizes.items() if not any(queue_id in some for some in known)}
        self._read(list(sizes), _fitting(sizes, octets))

    def first(self, flow: LaneFlow, most: int) -> list[Row]:
        """Return prefetched entries."""
        return self._rows[flow][:most]

    def same_message(self, queue_id: str, lane: str, now: float) -> list[Row]:
        """Return the due entries of a message in a lane that were locked with it."""
        rows = self.raw.execute(COMPANIONS, (queue_id, lane, now, MAX_RECIPIENTS)).fetchall()
        return [row for row in rows if (row[0], row[1]) not in self._held]

    def _row(self, queue_id: str, most: int) -> Row | None:
        """Return the row of a message; None if there is none. Contents that did not fit were not read."""
        if queue_id not in self._contents:
            return read_stored(self.raw, queue_id, Unreadable(), most)
        return self._contents.get(queue_id)

    def take(self, rows: Sequence[Row]) -> None:
        """Note these locked entries as claimed."""
        self._taken += rows

    def finish(self) -> None:
        """Lease the claimed entries."""
        if self._taken:
            columns = [row[0] for row in self._taken], [row[1] for row in self._taken]
            self.raw.execute(TAKE, (self.lease, self._number, *columns))
            self._taken = []

    def _read(self, queue_ids: Sequence[str], with_content: Sequence[str]) -> None:
        if queue_ids:
            rows = self.raw.execute(CONTENTS, (list(with_content), list(queue_ids))).fetchall()
            self._contents |= {row[0]: with_unread(self.raw, row) for row in rows}


def _fitting(sizes: Mapping[str, int], octets: int) -> list[str]:
    """Return the messages that are not large and fit together into `octets`, in their order."""
    fitting: list[str] = []
    left = octets
    for queue_id, size in sizes.items():
        if size <= min(LARGE, left):
            left -= size
            fitting.append(queue_id)
    return fitting
