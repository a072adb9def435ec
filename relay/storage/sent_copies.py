"""Copies of simulated mail: SQL and its values."""

from collections.abc import Sequence

from relay.queue.sent_copies import ORIGINAL, SentCopy
from relay.storage.database import Connection
from relay.storage.operations import ROW_COST, StoreDatabase
from relay.storage.rows import text

_COLUMNS = "queue_id, number, at, reverse_path, content"

_KEEP = (
    f"INSERT INTO sent_copies ({_COLUMNS}) VALUES (?, ?, ?, ?, ?) ON CONFLICT (queue_id, number) DO UPDATE "  # noqa: S608
    "SET at = excluded.at, reverse_path = excluded.reverse_path, content = excluded.content"
)

_OF_MESSAGE = f"SELECT {_COLUMNS} FROM sent_copies WHERE queue_id = ? ORDER BY number"  # noqa: S608  names only


class SentCopyTable:
    """Implements SentCopyStore."""

    def __init__(self, database: StoreDatabase) -> None:
        self._database = database

    async def keep(self, copy: SentCopy) -> None:
        """Write a copy, in the place of an earlier one."""
        values = (copy.queue_id, copy.number, copy.at, text(copy.reverse_path), copy.content)

        def operation(raw: Connection) -> None:
            raw.execute(_KEEP, values)

        await self._database.write_mail(operation, ROW_COST + len(copy.content))

    async def copies(self, queue_id: str) -> Sequence[SentCopy]:
        """Return the copies of a message, by number, without the original."""
        return [one for one in await self._all(queue_id) if one.number != ORIGINAL]

    async def original(self, queue_id: str) -> SentCopy | None:
        """Return the original of a sandbox message."""
        return next((one for one in await self._all(queue_id) if one.number == ORIGINAL), None)

    async def _all(self, queue_id: str) -> list[SentCopy]:
        def operation(raw: Connection) -> list[SentCopy]:
            rows = raw.execute(_OF_MESSAGE, (queue_id,)).fetchall()
            return [SentCopy(row[0], row[1], row[2], row[3], bytes(row[4])) for row in rows]

        return await self._database.read(operation)
