"""Which lanes have entries that wait, asked of PostgreSQL in one statement."""

from collections.abc import Iterable

from relay.storage.database import Connection

LANES = (
    "WITH RECURSIVE lanes (lane, due) AS ("
    "(SELECT lane, next_attempt_at FROM entries WHERE state = 'waiting' ORDER BY lane, next_attempt_at LIMIT 1) "
    "UNION ALL SELECT following.* FROM lanes CROSS JOIN LATERAL ("
    "SELECT lane, next_attempt_at FROM entries WHERE state = 'waiting' AND lane > lanes.lane "
    "ORDER BY lane, next_attempt_at LIMIT 1) AS following) SELECT lane, due FROM lanes"
)
"""One seek a lane: its first entry in the index on open entries, then the first of the lane behind it."""


def all_lanes(raw: Connection) -> Iterable[tuple[str, float]]:
    """Return the lanes with waiting entries and when each is due first."""
    return [(row[0], row[1]) for row in raw.execute(LANES)]
