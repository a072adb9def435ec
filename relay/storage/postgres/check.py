"""What the start of a relay needs of a PostgreSQL database, tried without changing it."""

import asyncio

import psycopg

from relay.storage.errors import SchemaError
from relay.storage.postgres import schema
from relay.storage.postgres.connection import Raw, Target, connect
from relay.storage.postgres.errors import store_error
from relay.storage.postgres.pooler_check import refuse_transaction_pooler

_WRITABLE = "SELECT current_setting('transaction_read_only') = 'off' AND NOT pg_is_in_recovery()"

_PLACE = "SELECT current_schema(), current_user, has_schema_privilege(current_schema(), 'CREATE')"

_TIMEOUT = "SET statement_timeout = '5s'"
"""The connection has a time limit of its own; locks of a migration may keep a statement waiting."""


async def check_database(target: Target) -> None:
    """Return if a relay can start with this database. Raises StoreErrors that name the remedy."""
    await refuse_transaction_pooler(target)
    await asyncio.to_thread(_check, target)


def _check(target: Target) -> None:
    try:
        with connect(target) as raw:
            raw.execute(_TIMEOUT)
            schema.check_server(raw)
            _check_rights(raw, schema.version(raw))
            schema.check_complete(raw)
    except psycopg.Error as error:
        raise store_error(error) from error


def _check_rights(raw: Raw, version: int) -> None:
    """Refuse a database in which this user cannot write, or cannot make the tables that are missing."""
    if raw.execute(_WRITABLE).fetchone() != (True,):
        raise SchemaError("storage.url: the database is read-only; name the server that accepts writes")
    newest = max(schema.migrations())
    schema.check_version(version, newest)
    place, user, may_create = raw.execute(_PLACE).fetchone() or (None, "", None)
    if place is None:
        raise SchemaError("storage.url: no schema of the search_path exists in the database; create one")
    if version < newest and not may_create:
        raise SchemaError(
            f'storage.url: user "{user}" may not create tables in schema "{place}"; '
            f'GRANT CREATE ON SCHEMA "{place}" TO "{user}"'
        )
