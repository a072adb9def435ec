"""The parts of the events table: one for each week, made ahead, dropped whole when they are old."""

from collections.abc import Callable
from datetime import UTC, datetime

from relay.storage.database import Connection

WEEK = 7 * 86400


AHEAD = 4
"""Weeks beyond this one for which there is a part already."""


_LOCK = "SELECT pg_try_advisory_xact_lock(hashtext('relay events ' || current_schema()))"


_PARTS = (
    "SELECT part.relname FROM pg_inherits JOIN pg_class AS part ON part.oid = inhrelid "
    "WHERE inhparent = 'events'::regclass AND part.relname != 'events_default'"
)


_PATIENCE = "SET LOCAL lock_timeout = '1s'"
"""While a lock on the table is waited for, because of a long report, all others wait too."""


_DELETE_OLD = "DELETE FROM events_default WHERE at < ?"


def name(week: int) -> str:
    """Return the name of a week's part: that of its first day (UTC). Weeks count from 1970-01-01, a Thursday."""
    return f"events_{datetime.fromtimestamp(week * WEEK, UTC):%Y%m%d}"


def _week(part: str) -> int:
    return int(datetime.strptime(part.removeprefix("events_"), "%Y%m%d").replace(tzinfo=UTC).timestamp()) // WEEK


def make_ahead(now: float, since: float | None = None) -> Callable[[Connection], bool]:
    """Make the parts of the last week (of all `since` a time, when one is given), this one and those ahead.

    The operation returns False when another node is at it.
    """

    def operation(raw: Connection) -> bool:
        if not raw.execute(_LOCK).fetchone()[0]:
            return False
        known = {row[0] for row in raw.execute(_PARTS)}
        this = int(now // WEEK)
        first = this if since is None else min(this, int(since // WEEK))
        for week in range(first - 1, this + AHEAD + 1):
            if name(week) not in known:
                _make(raw, week)
        return True

    return operation


def drop_before(before: float) -> Callable[[Connection], bool]:
    """Drop the parts that end before that time; return False when another node is at it."""

    def operation(raw: Connection) -> bool:
        if not raw.execute(_LOCK).fetchone()[0]:
            return False
        old = [row[0] for row in raw.execute(_PARTS) if (_week(row[0]) + 1) * WEEK <= before]
        if old:
            raw.execute(_PATIENCE)
            for part in old:
                raw.execute(f"DROP TABLE {part}")
        raw.execute(_DELETE_OLD, (before,))
        return True

    return operation


def _make(raw: Connection, week: int) -> None:
    """Make a part, with the events of its time that were recorded before there was one.

    It is attached, for that keeps nobody from recording events, where a part made in its place would.
    """
    part, start, end = name(week), week * WEEK, (week + 1) * WEEK
    raw.execute(_PATIENCE)
    raw.execute("LOCK TABLE events_default IN ACCESS EXCLUSIVE MODE")
    raw.execute(f"CREATE TABLE {part} (LIKE events INCLUDING DEFAULTS)")
    moved = f"WITH moved AS (DELETE FROM events_default WHERE at >= {start} AND at < {end} RETURNING *)"  # noqa: S608
    raw.execute(f"{moved} INSERT INTO {part} SELECT * FROM moved")  # noqa: S608
    raw.execute(f"ALTER TABLE events ATTACH PARTITION {part} FOR VALUES FROM ({start}) TO ({end})")
