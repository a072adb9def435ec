"""Partitions of the events table: one for each week, made ahead, dropped whole when they are old."""

from collections.abc import Callable
from datetime import UTC, datetime

from relay.storage.database import Connection

WEEK = 7 * 86400

AHEAD = 4
"""Weeks after the current one for which partitions exist already."""

_LOCK = "SELECT pg_try_advisory_xact_lock(hashtext('relay events ' || current_schema()))"

_PARTS = (
    "SELECT part.relname FROM pg_inherits JOIN pg_class AS part ON part.oid = inhrelid "
    "WHERE inhparent = 'events'::regclass AND part.relname != 'events_default'"
)

_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '1s'"
"""Limits the wait for a table lock, which a long report can hold: all other statements wait behind it."""

_DELETE_OLD = "DELETE FROM events_default WHERE at < ?"


def name(week: int) -> str:
    """Name a week's partition by its first day (UTC). Weeks count from 1970-01-01, a Thursday."""
    return f"events_{datetime.fromtimestamp(week * WEEK, UTC):%Y%m%d}"


def _week(part: str) -> int:
    return int(datetime.strptime(part.removeprefix("events_"), "%Y%m%d").replace(tzinfo=UTC).timestamp()) // WEEK


def make_ahead(now: float, since: float | None = None) -> Callable[[Connection], bool]:
    """Make the partitions of the last week (or of all weeks since a time), this week and those ahead.

    The operation returns False while another node does it.
    """

    def operation(raw: Connection) -> bool:
        if not raw.execute(_LOCK).fetchone()[0]:
            return False
        existing = {row[0] for row in raw.execute(_PARTS)}
        this = int(now // WEEK)
        first = this if since is None else min(this, int(since // WEEK))
        for week in range(first - 1, this + AHEAD + 1):
            if name(week) not in existing:
                _make(raw, week)
        return True

    return operation


def drop_before(before: float) -> Callable[[Connection], bool]:
    """Drop the partitions that end before that time; return False while another node does it."""

    def operation(raw: Connection) -> bool:
        if not raw.execute(_LOCK).fetchone()[0]:
            return False
        old = [row[0] for row in raw.execute(_PARTS) if (_week(row[0]) + 1) * WEEK <= before]
        if old:
            raw.execute(_LOCK_TIMEOUT)
            for part in old:
                raw.execute(f"DROP TABLE {part}")
        raw.execute(_DELETE_OLD, (before,))
        return True

    return operation


def kept_since(retained_since: float) -> Callable[[Connection], float]:
    """Return from when on no event is deleted: since the retention, or since the first day of the oldest partition.

    A partition may have been dropped by a shorter retention of before.
    """

    def operation(raw: Connection) -> float:
        weeks = [_week(row[0]) for row in raw.execute(_PARTS)]
        return max(retained_since, min(weeks) * float(WEEK)) if weeks else retained_since

    return operation


def _make(raw: Connection, week: int) -> None:
    """Make a partition and move the events of its week out of the default one.

    It is attached: unlike a partition made in place, that does not block the recording of events.
    """
    part, start, end = name(week), week * WEEK, (week + 1) * WEEK
    raw.execute(_LOCK_TIMEOUT)
    raw.execute("LOCK TABLE events_default IN ACCESS EXCLUSIVE MODE")
    raw.execute(f"CREATE TABLE {part} (LIKE events INCLUDING DEFAULTS)")
    moved = f"WITH moved AS (DELETE FROM events_default WHERE at >= {start} AND at < {end} RETURNING *)"  # noqa: S608
    raw.execute(f"{moved} INSERT INTO {part} SELECT * FROM moved")  # noqa: S608
    raw.execute(f"ALTER TABLE events ATTACH PARTITION {part} FOR VALUES FROM ({start}) TO ({end})")
