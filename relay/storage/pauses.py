"""Pauses of lanes and identities: SQL and its values."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from relay.queue.pause import BY_APPLICATION, HOLD, HOLD_BY_APPLICATION, Pause
from relay.storage.database import Connection, Database
from relay.storage.rows import text

_COLUMNS = "subject, at, until, why, category, settings"

_SELECT = f"SELECT {_COLUMNS} FROM pauses"  # noqa: S608  names only

_OF = "SELECT category FROM pauses WHERE subject = ?"

_HELD = f"{_SELECT} WHERE until = 0 OR until > ? ORDER BY subject"

_OUTRANKING = ("operator", "bounces", "complaints", HOLD)
"""Categories that replace the pause of an application, which could end it."""

_OF_APPLICATIONS = (BY_APPLICATION, HOLD_BY_APPLICATION)

_OF_OPERATOR = ("operator", HOLD)
"""Categories of what an operator decides: mail is refused, or accepted and held. The later decision counts."""

_OUTRANKS = (
    f"(pauses.category IN {_OF_APPLICATIONS} AND excluded.category IN {_OUTRANKING}) OR "
    f"(pauses.category IN {_OF_OPERATOR} AND excluded.category IN {_OF_OPERATOR} "
    "AND pauses.category <> excluded.category)"
)

_LATER = (
    "CASE WHEN pauses.until = 0 OR excluded.until = 0 THEN 0.0 "
    "WHEN pauses.until > excluded.until THEN pauses.until ELSE excluded.until END"
)
"""The later end of two decisions: what one of them holds back, the other one does not send."""

_PUT = (
    f"INSERT INTO pauses ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?) "  # noqa: S608  names only
    f"ON CONFLICT (subject) DO UPDATE SET at = excluded.at, until = {_LATER}, why = excluded.why, "
    "category = excluded.category, settings = excluded.settings "
    f"WHERE ({_OUTRANKS}) OR (pauses.until > 0 AND (excluded.until = 0 OR excluded.until >= pauses.until) "
    f"AND (excluded.category NOT IN {_OF_APPLICATIONS} OR pauses.category = excluded.category)) RETURNING until"
)

_FORGET = "DELETE FROM pauses WHERE until > 0 AND until <= ?"

_END = f"DELETE FROM pauses WHERE subject = ? RETURNING {_COLUMNS}"  # noqa: S608  names only

_END_OF = f"DELETE FROM pauses WHERE subject = ? AND category = ? RETURNING {_COLUMNS}"  # noqa: S608  names only

_LENGTHEN = "UPDATE pauses SET at = at + ?, until = until + ? WHERE until > 0 AND at <= ?"

_SHORTEN = "UPDATE pauses SET at = ?1, until = until - at + ?1 WHERE until > 0 AND at > ?1"


class PauseTable:
    """Implements PauseStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def pauses(self, now: float) -> Sequence[Pause]:
        """Return the pauses in force, by subject."""
        return await self._database.read(lambda raw: [Pause(*row) for row in raw.execute(_HELD, (now,))])

    async def add(self, pauses: Sequence[Pause]) -> Sequence[Pause]:
        """Add pauses; return those whose subject was not paused before, or whose decision replaces another.

        A decision that replaces another one lasts as long as that one, at least: they are returned as they are stored.
        """
        return await self._database.write(_add(pauses))

    async def end(self, subject: str, category: str = "") -> Pause | None:
        """Delete the pause of a subject, if it is of the category; return it, None if there was none to delete."""
        statement, values = (_END_OF, (subject, category)) if category else (_END, (subject,))

        def operation(raw: Connection) -> Pause | None:
            row = raw.execute(statement, values).fetchone()
            return None if row is None else Pause(*row)

        return await self._database.write(operation)


def _add(pauses: Sequence[Pause]) -> Callable[[Connection], list[Pause]]:
    def operation(raw: Connection) -> list[Pause]:
        new: list[Pause] = []
        for one in pauses:
            raw.execute(_FORGET, (one.at,))
            known = raw.execute(_OF, (one.subject,)).fetchone()
            values = (one.subject, one.at, one.until, text(one.why), one.category, one.settings)
            written = raw.execute(_PUT, values).fetchone()
            if written is not None and (known is None or _is_replaced(known[0], one.category)):
                new.append(replace(one, until=written[0]))
        return new

    return operation


def _is_replaced(known: str, category: str) -> bool:
    """Whether a pause of a category gives way to one of another, whatever their ends: the twin of _OUTRANKS."""
    if known in _OF_APPLICATIONS:
        return category in _OUTRANKING
    return known != category and known in _OF_OPERATOR and category in _OF_OPERATOR


def clock_set(raw: Connection, now: float, step: float) -> None:
    """Adapt pauses to a wall clock that was stepped by `step` seconds, to `now`: their remaining time is kept.

    Backward, a pause that seems to begin later begins now. So several nodes may do this for one step.
    """
    if step > 0:
        raw.execute(_LENGTHEN, (step, step, now - step))
    else:
        raw.execute(_SHORTEN, (now,))
