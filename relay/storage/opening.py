"""Opening a store: the lock first, then the file, then connections."""

import asyncio
import sqlite3
from pathlib import Path

import aiosqlite

from relay.events.ports import StoreError
from relay.storage import schema
from relay.storage.connection import connect_reader, in_thread
from relay.storage.lock import StoreLock


def take(path: Path) -> StoreLock:
    """Lock the store, make its database ready and return the lock. Blocking."""
    lock = StoreLock(path)
    try:
        schema.prepare(path, existed=lock.marked)
        if not lock.marked:
            lock.mark()
    except BaseException:
        lock.release()
        raise
    return lock


async def read(path: Path) -> aiosqlite.Connection:
    """Open a reading connection to a database this program knows; creates nothing."""
    try:
        await asyncio.to_thread(schema.check_header, path)
        reader = await connect_reader(path)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{path}: {error}") from error
    try:
        newest = max(schema.migrations())
        await in_thread(reader, lambda raw: schema.check_version(raw, path, newest))
    except BaseException:
        await reader.close()
        raise
    return reader
