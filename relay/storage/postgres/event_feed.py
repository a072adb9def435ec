"""The feed on PostgreSQL: by transaction, up to the oldest one that is still open.

A row gets its id when it is inserted, and other nodes see it when its transaction ends. In the order of ids a reader
would pass rows that appear later. Each row has the id of its transaction too. All transactions below `pg_snapshot_xmin`
have ended, and later ones have higher ids: rows below it are complete, and their order is final.
"""

from relay.storage.database import Connection
from relay.storage.event_feed import FeedSql
from relay.webhooks.feed import Position

_HORIZON = "pg_snapshot_xmin(pg_current_snapshot())"

_FIRST = "SELECT xid::text::bigint, id FROM events WHERE at >= ? ORDER BY xid, id LIMIT 1"

_END = f"SELECT {_HORIZON}::text::bigint - 1, 9223372036854775807"


def _since(raw: Connection, at: float) -> Position:
    found = raw.execute(_FIRST, (at,)).fetchone() or raw.execute(_END).fetchone()
    return Position(int(found[0]), int(found[1]) - 1)


POSTGRES_FEED = FeedSql(
    place="events.xid::text::bigint, events.id",
    after=f"(events.xid, events.id) > (?1::bigint::text::xid8, ?2::bigint) AND events.xid < {_HORIZON}",
    until=f"(events.xid, events.id) <= (?1::bigint::text::xid8, ?2::bigint) AND events.xid < {_HORIZON}",
    order="events.xid, events.id",
    back="events.xid DESC, events.id DESC",
    same="events.xid = ?1::bigint::text::xid8 AND events.id = ?2::bigint",
    end=_END,
    since=_since,
)
