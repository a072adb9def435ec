"""The feed on SQLite: one transaction writes at a time, so ids are in the order of commits."""

from relay.storage.database import Connection
from relay.storage.event_feed import FeedSql
from relay.webhooks.feed import Position

_FROM = "SELECT id, at FROM events WHERE id >= ? ORDER BY id LIMIT 1"

_LAST = "SELECT coalesce(max(id), 0) FROM events"


def _since(raw: Connection, at: float) -> Position:
    """Find the first event from that time on by halving: there is no index by time, and ids follow it nearly."""
    low, high = 0, int(raw.execute(_LAST).fetchone()[0]) + 1
    while low + 1 < high:
        middle = (low + high) // 2
        found = raw.execute(_FROM, (middle,)).fetchone()
        if found is not None and found[1] < at:
            low = max(middle, min(found[0], high - 1))
        else:
            high = middle
    return Position(0, low)


SQLITE_FEED = FeedSql(
    place="0, events.id",
    after="events.id > ?2",
    until="events.id <= ?2",
    order="events.id",
    back="events.id DESC",
    same="events.id = ?2",
    end="SELECT 0, coalesce(max(id), 0) FROM events",
    since=_since,
)
