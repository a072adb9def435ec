"""Copies of simulated mail: SQL and its values."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

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

_SIZES = (
    f"SELECT number, length(content) FROM sent_copies "  # noqa: S608  a number of this module
    f"WHERE queue_id = ? AND number > ? AND number <> {ORIGINAL} ORDER BY number"
)

_OF_PAGE = (
    f"SELECT {_COLUMNS} FROM sent_copies "  # noqa: S608  names only
    "WHERE queue_id = ? AND number BETWEEN ? AND ? ORDER BY number"
)


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

    async def copies_page(self, queue_id: str, after: int, octets: int) -> tuple[Sequence[SentCopy], bool]:
        """Return the copies with higher numbers, as many as fit but at least one, and whether there are more."""

        def operation(raw: Connection) -> tuple[Sequence[SentCopy], bool]:
            sizes = raw.execute(_SIZES, (queue_id, after)).fetchall()
            sums = accumulate(size for _, size in sizes)
            fitting = [number for (number, _), total in zip(sizes, sums, strict=True) if total <= octets]
            if not sizes:
                return [], False
            last = fitting[-1] if fitting else sizes[0][0]
            rows = raw.execute(_OF_PAGE, (queue_id, sizes[0][0], last)).fetchall()
            return [_copy(row) for row in rows], last != sizes[-1][0]

        return await self._database.read(operation)

    async def original(self, queue_id: str) -> SentCopy | None:
        """Return the original of a sandbox message."""
        return next((one for one in await self._all(queue_id) if one.number == ORIGINAL), None)

    async def _all(self, queue_id: str) -> list[SentCopy]:
        def operation(raw: Connection) -> list[SentCopy]:
            rows = raw.execute(_OF_MESSAGE, (queue_id,)).fetchall()
            return [_copy(row) for row in rows]

        return await self._database.read(operation)


def _copy(row: Sequence[Any]) -> SentCopy:
    return SentCopy(row[0], row[1], row[2], row[3], bytes(row[4]))
