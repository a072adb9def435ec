"""Blocked links: SQL and its values, and the blocks in memory, which each click needs."""

from collections.abc import Callable, Sequence
from typing import Any, cast

from relay.storage.database import Connection, Database
from relay.storage.rows import text
from relay.tracker.link_blocks import Block, BlockKind, LinkBlocks

_COLUMNS = "kind, value, created_at, note"

_ALL = f"SELECT {_COLUMNS} FROM link_blocks ORDER BY created_at DESC, key"  # noqa: S608  names only

_PUT = (
    f"INSERT INTO link_blocks (key, {_COLUMNS}) VALUES (?, ?, ?, ?, ?) ON CONFLICT (key) "  # noqa: S608  names only
    "DO UPDATE SET note = CASE WHEN excluded.note = '' THEN link_blocks.note ELSE excluded.note END "
    f"RETURNING {_COLUMNS}"
)

_DELETE = f"DELETE FROM link_blocks WHERE key = ? RETURNING {_COLUMNS}"  # noqa: S608  names only


def _unannounced(_: Connection) -> None:
    pass


class LinkBlockTable:
    """Implements LinkBlockStore. `announce` runs in the transaction of each change, to notify other nodes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._blocks = LinkBlocks()
        self.announce: Callable[[Connection], None] = _unannounced

    @property
    def blocks(self) -> LinkBlocks:
        """The blocks in force."""
        return self._blocks

    async def load(self) -> None:
        """Read all blocks: at the start, and after another node changed them."""
        self._blocks = LinkBlocks(await self.all_blocks())

    async def all_blocks(self) -> list[Block]:
        """Return all blocks, newest first."""
        return await self._database.read(lambda raw: [_block(row) for row in raw.execute(_ALL).fetchall()])

    async def block(self, block: Block) -> Block:
        """Add a block and return it; one that exists keeps its time, and gets the note if there is one."""
        values = (block.key, block.kind, text(block.value), block.created_at, text(block.note))

        def operation(raw: Connection) -> Block:
            added = _block(raw.execute(_PUT, values).fetchone())
            self.announce(raw)
            return added

        added = await self._database.write(operation)
        await self.load()
        return added

    async def unblock(self, block: Block) -> Block | None:
        """Remove a block and return it, None if there is none."""

        def operation(raw: Connection) -> Block | None:
            row = raw.execute(_DELETE, (block.key,)).fetchone()
            if row is not None:
                self.announce(raw)
            return None if row is None else _block(row)

        removed = await self._database.write(operation)
        await self.load()
        return removed


def _block(row: Sequence[Any]) -> Block:
    kind, value, created_at, note = row
    return Block(cast("BlockKind", kind), value, created_at, note)
