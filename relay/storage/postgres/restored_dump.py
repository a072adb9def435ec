"""Makes the feed usable after the database was restored from a dump: there transactions are numbered anew.

Stored events then have transactions that this server has not reached. Readers would wait for them, and pass new events.
"""

from relay.storage.database import Connection
from relay.webhooks.feed import Position, parse_position

_NEWEST = "SELECT xid >= pg_snapshot_xmax(pg_current_snapshot()) FROM events ORDER BY xid DESC, id DESC LIMIT 1"

_RENUMBER = "UPDATE events SET xid = pg_current_xact_id() WHERE xid >= pg_snapshot_xmax(pg_current_snapshot())"

_THIS = "SELECT pg_current_xact_id()::text::bigint"

_CURSORS = "SELECT name, position FROM webhooks"

_MOVE = "UPDATE webhooks SET position = ?, replay = '' WHERE name = ?"

_FORGET = "DELETE FROM webhook_failures"

REPEATED = 1000
"""Rows before a cursor that are read again: their order of commits is not known any more."""


def renumber_restored(raw: Connection) -> bool:
    """Give events of transactions that this server has not reached the present one; return whether there were any.

    Cursors go on from their rows; some events are posted again, with the same ids.
    """
    newest = raw.execute(_NEWEST).fetchone()
    if newest is None or not newest[0]:
        return False
    this = int(raw.execute(_THIS).fetchone()[0])
    raw.execute(_RENUMBER)
    for name, text in raw.execute(_CURSORS).fetchall():
        before = parse_position(text)
        if before.transaction >= this:
            raw.execute(_MOVE, (str(Position(this, max(before.row - REPEATED, 0))), name))
    raw.execute(_FORGET)
    return True
