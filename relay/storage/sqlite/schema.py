"""Opens, checks and migrates a database file."""

import asyncio
import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from importlib import resources
from pathlib import Path

import aiosqlite

from relay.events.ports import StoreError
from relay.log import Emit, unlogged
from relay.storage.errors import DamagedError, SchemaError, primary_code, store_error
from relay.storage.sqlite.connection import PAGE_SIZE, connect_reader, in_thread, uri
from relay.storage.sqlite.lock import StoreLock, sync_folder
from relay.storage.sqlite.salvage import faults, set_contents_aside

APPLICATION_ID = 0x72656C61
"""In the file header ("rela"): identifies the database as one of this program."""

QUICK_CHECK_LIMIT = 64 << 20
"""Bytes. Larger files are not checked at start, because that would delay mail."""

_SHOWN_FAULTS = 3

_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
"""Result codes that say that the file is at fault, and not its disk."""

_HEADER = b"SQLite format 3\0"

_HEADER_SIZE = 100


def migrations() -> dict[int, str]:
    """Return the SQL of all migrations by number, in order."""
    folder = resources.files("relay.storage") / "migrations"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return {int(file.name.partition("_")[0]): file.read_text("utf-8") for file in files}


def prepare(path: Path, *, existed: bool, steps: Mapping[int, str] | None = None, log: Emit = unlogged) -> None:
    """Check the database at `path` and upgrade its schema; create it when none `existed`.

    A damaged table of contents is set aside. Raises DamagedError or SchemaError without having changed anything.
    """
    wanted = migrations() if steps is None else steps
    empty = not path.exists() or path.stat().st_size == 0
    if empty and existed:
        raise DamagedError(
            f"{path}: the database is {'empty' if path.exists() else 'gone'}, but there was one; restore it, or remove "
            f"{path.name}.lock to begin with an empty queue"
        )
    if not empty:
        check_header(path)

    with closing(sqlite3.connect(uri(path, "rwc"), uri=True, isolation_level=None)) as raw:
        if empty:
            _create(raw)
        else:
            _check_or_salvage(raw, path, log)
        _migrate(raw, path, wanted)
    sync_folder(path.parent)


def check_header(path: Path) -> None:
    """Raise DamagedError or SchemaError unless the header and length are those of a database of this program.

    File format: https://sqlite.org/fileformat.html section 1.3.
    """
    with path.open("rb") as file:
        header = file.read(_HEADER_SIZE)

    if len(header) < _HEADER_SIZE or not header.startswith(_HEADER):
        raise DamagedError(f"{path}: the file does not begin like a database; restore it from a backup")
    if int.from_bytes(header[68:72], "big") != APPLICATION_ID:
        raise SchemaError(f"{path}: this is a database of another program; name another file in storage.url")

    _refuse_newer(int.from_bytes(header[60:64], "big"), path, max(migrations()))
    page_size = int.from_bytes(header[16:18], "big")
    expected = int.from_bytes(header[28:32], "big") * (65536 if page_size == 1 else page_size)
    log = Path(f"{path}-wal")
    # A log without a checkpoint may hold the missing pages of the file.
    if path.stat().st_size < expected and not (log.exists() and log.stat().st_size):
        raise DamagedError(
            f"{path}: the file is cut short ({path.stat().st_size} of {expected} bytes); restore it from a backup"
        )


def _check_or_salvage(raw: sqlite3.Connection, path: Path, log: Emit) -> None:
    """Check the database; set the contents aside when only they are damaged."""
    try:
        check_database(raw, path)
    except DamagedError:
        try:
            salvaged = set_contents_aside(raw)
        except sqlite3.Error:
            salvaged = None
        if salvaged is None:
            raise
        log("store.salvaged", readable=salvaged.readable, unreadable=salvaged.unreadable)


def check_database(raw: sqlite3.Connection, path: Path) -> None:
    """Raise DamagedError when SQLite finds the database damaged; large files are only opened.

    Raises StoreError for trouble of the disk, which says nothing about the database.
    """
    try:
        raw.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if path.stat().st_size > QUICK_CHECK_LIMIT:
            return
        found = faults(raw)
    except sqlite3.DatabaseError as error:
        if primary_code(error) in _DAMAGED:
            raise DamagedError(f"{path}: {error}; restore it from a backup") from error
        trouble = store_error(error, path)
        if trouble.full:
            raise StoreError(f"{path}: its disk has no space left; free some and start again", full=True) from error
        raise trouble from error
    if found:
        shown = "; ".join(fault.replace("\n", " ") for fault in found[:_SHOWN_FAULTS])
        raise DamagedError(f"{path}: the database is damaged: {shown}; restore it from a backup")


def check_version(raw: sqlite3.Connection, path: Path, newest: int) -> int:
    """Return the schema version. Raises SchemaError for an unknown one."""
    version: int = raw.execute("PRAGMA user_version").fetchone()[0]
    _refuse_newer(version, path, newest)
    return version


def _refuse_newer(version: int, path: Path, newest: int) -> None:
    if version > newest:
        raise SchemaError(
            f"{path}: its schema {version} is newer than this program, which supports {newest}; install the newer relay"
        )


def _create(raw: sqlite3.Connection) -> None:
    """Initialise a new file: the page size first, then the header fields, which must precede the log.

    Free pages are given back to the disk when it is full, and only then.
    """
    raw.execute(f"PRAGMA page_size = {PAGE_SIZE}")
    raw.execute("PRAGMA auto_vacuum = INCREMENTAL")
    raw.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    raw.execute("PRAGMA journal_mode = WAL").fetchone()


def _migrate(raw: sqlite3.Connection, path: Path, steps: Mapping[int, str]) -> None:
    """Take the missing steps, each in one transaction, after a backup."""
    raw.execute("PRAGMA synchronous = FULL")
    version = check_version(raw, path, max(steps))
    lacking = {number: sql for number, sql in steps.items() if number > version}
    if lacking and version:
        _back_up(raw, Path(f"{path}.schema-{version}"))
    for number, sql in lacking.items():
        try:
            raw.executescript(f"BEGIN IMMEDIATE;\n{sql}\nPRAGMA user_version = {number};\nCOMMIT;")
        except sqlite3.Error as error:
            if raw.in_transaction:
                raw.execute("ROLLBACK")
            raise SchemaError(f"{path}: schema {number} could not be made, nothing was changed: {error}") from error


def _back_up(raw: sqlite3.Connection, copy: Path) -> None:
    """Copy the database; the copy is complete and durable before it gets its name."""
    unfinished = Path(f"{copy}.part")
    unfinished.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(unfinished)) as target:
            raw.backup(target)
    except sqlite3.Error as error:
        unfinished.unlink(missing_ok=True)
        raise StoreError(
            f"{copy}: the copy before the new schema cannot be written: {error}; free disk space"
        ) from error
    descriptor = os.open(unfinished, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    unfinished.replace(copy)


def take(path: Path, log: Emit = unlogged) -> StoreLock:
    """Lock the store, prepare its database and return the lock. Raises StoreError. Blocking."""
    lock = StoreLock(path)
    try:
        prepare(path, existed=lock.marked, log=log)
        if not lock.marked:
            lock.mark()
    except sqlite3.Error as error:
        lock.release()
        raise store_error(error, path) from error
    except BaseException:
        lock.release()
        raise
    return lock


async def read(path: Path) -> aiosqlite.Connection:
    """Open a reading connection to a database with a known schema; creates nothing."""
    try:
        await asyncio.to_thread(check_header, path)
        reader = await connect_reader(path)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{path}: {error}") from error
    try:
        newest = max(migrations())
        await in_thread(reader, lambda raw: check_version(raw, path, newest))
    except BaseException:
        await reader.close()
        raise
    return reader
