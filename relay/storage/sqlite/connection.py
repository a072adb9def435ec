"""Connections to the database file, and running functions in their threads."""

import os
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast

import aiosqlite

from relay.events.ports import StoreError
from relay.storage.database import Connection, DbSession
from relay.storage.errors import spoils_batch, store_error

T = TypeVar("T")

PAGE_SIZE = 16384
"""Bytes. A 20 KB message costs a quarter less than with pages of 4 KB."""

_BUSY_TIMEOUT = 5.0

_CACHE_KIB = 65536

_STATEMENTS = 256

_VACUUM_PAGES = 32
"""Pages that one step of a vacuum gives back: half a megabyte."""

_LOG_KEPT = 4
"""Multiple of the checkpoint size above which an emptied log file is truncated."""


if not callable(getattr(aiosqlite.Connection, "_execute", None)) or not hasattr(aiosqlite.Connection, "_conn"):
    raise ImportError(
        "relay runs whole batches in the thread of an aiosqlite connection and needs Connection._execute and ._conn; "
        f"aiosqlite {aiosqlite.__version__} has none: install aiosqlite 0.20 to 0.22"
    )


async def in_thread(connection: aiosqlite.Connection, function: Callable[[sqlite3.Connection], T]) -> T:
    """Run the function in the connection's thread, one hop for all its statements."""
    hop = cast("Callable[..., Awaitable[T]]", connection._execute)
    return await hop(function, connection._conn)


async def connect_writer(path: Path, checkpoint_pages: int) -> aiosqlite.Connection:
    """Open the only writing connection. A commit returns when the log is on disk (synchronous=FULL)."""
    connection = await _connect(path, "rw")
    await in_thread(connection, lambda raw: prepare_writer(raw, checkpoint_pages))
    return connection


async def connect_reader(path: Path) -> aiosqlite.Connection:
    """Open a connection that only reads and leaves checkpoints to the writer."""
    connection = await _connect(path, "ro")
    await in_thread(connection, _prepare_reader)
    return connection


def prepare_writer(raw: sqlite3.Connection, checkpoint_pages: int) -> None:
    """Configure a writing connection. Dropped contents are not wiped: that would double the octets written."""
    raw.execute("PRAGMA journal_mode = WAL").fetchone()
    raw.execute("PRAGMA synchronous = FULL")
    raw.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    raw.execute("PRAGMA secure_delete = OFF").fetchone()
    raw.execute("PRAGMA temp_store = MEMORY")
    raw.execute(f"PRAGMA wal_autocheckpoint = {checkpoint_pages}").fetchone()
    raw.execute(f"PRAGMA journal_size_limit = {_LOG_KEPT * checkpoint_pages * PAGE_SIZE}").fetchone()


def _prepare_reader(raw: sqlite3.Connection) -> None:
    raw.execute("PRAGMA query_only = ON")
    raw.execute("PRAGMA wal_autocheckpoint = 0").fetchone()
    raw.execute(f"PRAGMA cache_size = -{_CACHE_KIB // 4}")


async def _connect(path: Path, mode: str) -> aiosqlite.Connection:
    connection = aiosqlite.connect(
        uri(path, mode), uri=True, isolation_level=None, timeout=_BUSY_TIMEOUT, cached_statements=_STATEMENTS
    )
    # A failing program must end and release its lock, and not wait for a thread that is never stopped.
    thread: Any = getattr(connection, "_thread", connection)
    thread.daemon = True
    return await connection


def uri(path: Path, mode: str) -> str:
    """Return the file as a URI (https://sqlite.org/uri.html); `mode` is ro, rw or rwc."""
    return f"{Path(os.path.realpath(path)).as_uri()}?mode={mode}"


_UNDECODABLE = "decode to UTF-8"
"""Part of the driver's message about a text that is no UTF-8."""


def _decode_damaged(octets: bytes) -> str:
    return octets.decode("utf-8", "replace")


class SqliteLink:
    """Implements `storage.database.DriverConnection` over an aiosqlite connection."""

    begin: ClassVar[str] = "BEGIN IMMEDIATE"
    begin_read: ClassVar[str] = "BEGIN"
    errors: ClassVar[type[Exception]] = sqlite3.Error

    def __init__(self, connection: aiosqlite.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    async def run(self, function: Callable[[DbSession], T]) -> T:
        """Run the function in the connection's thread."""
        return await in_thread(self._connection, function)

    @contextmanager
    def together(self, session: DbSession) -> Iterator[Connection]:
        """Return the connection unchanged: statements cross no network.

        After a text that is no UTF-8, which only damage can store, further texts are decoded with replacements. One
        octet would otherwise make every query fail that meets its row.
        """
        try:
            yield session
        except sqlite3.OperationalError as error:
            if _UNDECODABLE in str(error):
                cast("sqlite3.Connection", session).text_factory = _decode_damaged
            raise

    def fails_batch(self, error: BaseException) -> bool:
        """Whether the error comes from the disk or the file."""
        return spoils_batch(error)

    def is_deadlock(self, error: BaseException) -> bool:
        """Return False: one connection writes."""
        del error
        return False

    def give_back_space(self, session: DbSession) -> int:
        """Give free pages of the database back to the disk; return the octets of those that stay in the file.

        A database of an older version keeps its free pages (auto_vacuum 0). Each step writes pages to the log, so steps
        are small and the log is emptied after each.
        """
        try:
            before = _free_pages(session) + 1
            while 0 < _free_pages(session) < before:
                before = _free_pages(session)
                session.execute(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})").fetchall()
                session.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            return _free_pages(session) * PAGE_SIZE
        except sqlite3.Error:
            return 0  # The disk has no room for the step; the next check tries again.

    def reclaim_space(self, session: DbSession) -> None:
        """Checkpoint the log into the database, so that its space can be reused."""
        try:
            session.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error:
            return  # The write error is reported; the next transaction shows whether it persists.

    def store_error(self, error: Exception) -> StoreError:
        """Add the name of the file; `full` for a full disk, a quota or a file size limit."""
        return store_error(error, self._path)

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()


def _free_pages(session: DbSession) -> int:
    (pages,) = session.execute("PRAGMA freelist_count").fetchone()
    return int(pages)
