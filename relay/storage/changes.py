"""The audit of what people changed: SQL and its values."""

from collections.abc import Sequence

from relay.people.ports import Change, ChangeQuery
from relay.storage.database import Connection, Database
from relay.storage.rows import text

_COLUMNS = "id, at, person, action, subject, before, after, client"

_PUT = f"INSERT INTO changes ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"  # noqa: S608

_PURGE = "DELETE FROM changes WHERE at < ?"


class ChangeTable:
    """Implements ChangeStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, changes: Sequence[Change]) -> None:
        """Add rows."""
        rows = [
            (one.id, one.at, one.person, *map(text, (one.action, one.subject, one.before, one.after, one.client)))
            for one in changes
        ]

        def operation(raw: Connection) -> None:
            raw.executemany(_PUT, rows)

        await self._database.write(operation)

    async def changes(self, query: ChangeQuery) -> Sequence[Change]:
        """Return the rows of a query, latest first."""
        sql, values = changes_statement(query)
        return await self._database.read(lambda raw: [Change(*row) for row in raw.execute(sql, values).fetchall()])

    async def purge(self, before: float) -> int:
        """Delete rows from before that time; return their number."""
        return await self._database.write(lambda raw: raw.execute(_PURGE, (before,)).rowcount)


def changes_statement(query: ChangeQuery) -> tuple[str, list[object]]:
    """Return the statement of a query, and its values."""
    parts: list[str] = []
    values: list[object] = []
    for part, value in (("person = ?", query.person), ("subject = ?", query.subject), ("at >= ?", query.since)):
        if value:
            parts.append(part)
            values.append(text(value) if isinstance(value, str) else value)
    if query.action:
        # No LIKE: the action is no pattern, and SQLite would ignore its case.
        action, prefix = text(query.action), text(f"{query.action}.")
        parts.append(f"(action = ? OR substr(action, 1, {len(prefix)}) = ?)")
        values += [action, prefix]
    if query.before is not None:
        parts.append("(at, id) < (?, ?)")
        values += query.before
    where = " AND ".join(parts) or "TRUE"
    return f"SELECT {_COLUMNS} FROM changes WHERE {where} ORDER BY at DESC, id DESC LIMIT ?", [*values, query.limit]  # noqa: S608
