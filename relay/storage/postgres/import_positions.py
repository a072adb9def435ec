"""Converts positions in the feed after a copy of a SQLite database: the events have other ids there."""

from collections.abc import Callable
from contextlib import suppress

from relay.storage.database import Connection
from relay.webhooks.feed import Position, PositionError, parse_position

_AT_RANK = "SELECT xid::text::bigint, id FROM events ORDER BY xid, id OFFSET ? LIMIT 1"

_CURSORS = "SELECT name, position FROM webhooks"

_MOVE_CURSOR = "UPDATE webhooks SET position = ?, replay = '' WHERE name = ?"

_FAILURES = "SELECT DISTINCT position FROM webhook_failures"

_MOVE_FAILURE = "UPDATE webhook_failures SET position = ? WHERE position = ?"


def convert_positions(raw: Connection, rank_of: Callable[[int], int]) -> None:
    """Give cursors and failures of webhooks their positions in the copied events, which are in the same order.

    `rank_of` returns the number of events of the source up to a row. A replay that was under way ends.
    """
    moved = [(position, name) for name, position in raw.execute(_CURSORS).fetchall()]
    for position, name in moved:
        raw.execute(_MOVE_CURSOR, (str(_converted(raw, position, rank_of)), name))
    for (position,) in raw.execute(_FAILURES).fetchall():
        raw.execute(_MOVE_FAILURE, (str(_converted(raw, position, rank_of)), position))


def _converted(raw: Connection, text: str, rank_of: Callable[[int], int]) -> Position:
    with suppress(PositionError):
        rank = rank_of(parse_position(text).row)
        found = raw.execute(_AT_RANK, (rank - 1,)).fetchone() if rank else None
        if found is not None:
            return Position(*map(int, found))
    return Position()
