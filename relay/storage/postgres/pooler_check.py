"""Refuses a pooler that does not keep one server connection for each of ours.

A node uses prepared statements, settings of the session, LISTEN and locks. Behind a pooler in transaction or statement
mode they reach the sessions of others, and fail when mail is already accepted. PgBouncer itself cannot be asked on such
a connection, and other poolers have no common question: so the server processes of transactions are compared. The
process number that a connection gets at its start is no evidence: some poolers pass on that of the server.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import psycopg
from psycopg import AsyncConnection

from relay.storage.errors import SchemaError
from relay.storage.postgres.connection import Target, parameters
from relay.storage.postgres.errors import store_error

TIMEOUT = 20.0
"""Seconds for the whole check: a pooler with one connection keeps the second one waiting."""

_REMEDY = "name the server itself, or use pool_mode = session"

_PROCESS = "SELECT pg_backend_pid()"


async def refuse_transaction_pooler(target: Target) -> None:
    """Raise SchemaError if transactions of one connection have different server processes.

    Raises StoreError when the server cannot be reached.
    """
    try:
        async with asyncio.timeout(TIMEOUT), AsyncExitStack() as opened:
            first = await _connect(target, opened)
            alone = await _process(first)
            found = await _processes(first, await _connect(target, opened))
            found[0].append(alone)
    except TimeoutError:
        raise SchemaError(
            f"storage.url: two connections at a time did not answer within {TIMEOUT:.0f} seconds; a pooler must have "
            "at least six for each node"
        ) from None
    except psycopg.Error as error:
        if "statement pooling" in str(error):
            raise SchemaError(f"storage.url: a pooler in statement mode; {_REMEDY}") from error
        raise store_error(error) from error
    if any(len(set(processes)) > 1 for processes in found):
        raise SchemaError(f"storage.url: a pooler in transaction mode; {_REMEDY}")


async def _connect(target: Target, opened: AsyncExitStack) -> AsyncConnection[Any]:
    connection = await AsyncConnection.connect(**parameters(target.url), autocommit=True, prepare_threshold=None)
    opened.push_async_callback(connection.close)
    return connection


async def _processes(first: AsyncConnection[Any], second: AsyncConnection[Any]) -> Sequence[list[int]]:
    """Return the server processes of four transactions of each connection, which run at the same time.

    They begin and end in both orders. A pooler next uses the connection freed first, freed last, or used last by the
    same client. In each case one of these orders swaps them.
    """
    found: tuple[list[int], list[int]] = ([], [])
    pairs = (first, found[0]), (second, found[1])
    for beginning, ending in ((-1, 1), (1, -1), (-1, -1), (1, 1)):
        for connection, processes in pairs[::beginning]:
            await connection.execute("BEGIN")
            processes.append(await _process(connection))
        for connection, _ in pairs[::ending]:
            await connection.execute("COMMIT")
    return found


async def _process(connection: AsyncConnection[Any]) -> int:
    row = await (await connection.execute(_PROCESS)).fetchone()
    assert row is not None
    return int(row[0])
