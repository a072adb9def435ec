"""The schema of a PostgreSQL database, made and upgraded by the node that starts first. Blocking."""

from collections.abc import Mapping
from importlib import resources

import psycopg

from relay.storage.errors import SchemaError
from relay.storage.postgres.connection import Raw, Target, connect
from relay.storage.postgres.errors import store_error
from relay.storage.sqlite.schema import migrations as shared_migrations

OLDEST_SERVER = 140_000
"""PostgreSQL 14, in the form of `server_version_num`."""

_LOCK = "SELECT pg_advisory_xact_lock(hashtext('relay schema ' || current_schema()))"

_TABLE = "CREATE TABLE IF NOT EXISTS relay_schema (version INTEGER PRIMARY KEY, made_at TIMESTAMPTZ NOT NULL)"

_VERSION = "SELECT coalesce(max(version), 0) FROM relay_schema"

_MADE = "INSERT INTO relay_schema (version, made_at) VALUES ($1, now())"


def migrations() -> dict[int, str]:
    """Return the SQL of all migrations by number; files of PostgreSQL replace shared ones with the same number."""
    folder = resources.files("relay.storage") / "migrations" / "postgres"
    own = {int(file.name.partition("_")[0]): file.read_text("utf-8") for file in folder.iterdir()}
    return dict(sorted((shared_migrations() | own).items()))


def prepare(target: Target, steps: Mapping[int, str] | None = None, *, unfinished: bool = False) -> None:
    """Upgrade the schema, one transaction a step; nodes that start together wait for each other.

    Raises SchemaError for an unusable database, StoreError when the server cannot be reached. A database with an
    incomplete copy of a SQLite one is accepted only if it may be `unfinished`.
    """
    wanted = migrations() if steps is None else steps
    try:
        with connect(target) as raw:
            check_server(raw)
            while _take_step(raw, wanted):
                pass
            if not unfinished:
                check_complete(raw)
    except psycopg.Error as error:
        raise store_error(error) from error


def check_server(raw: Raw) -> None:
    """Raise SchemaError for a server that is too old, or a database in another encoding."""
    if raw.info.server_version < OLDEST_SERVER:
        raise SchemaError(
            f"storage.url: PostgreSQL {OLDEST_SERVER // 10_000} or newer is needed; this is {_named(raw)}"
        )
    encoding = raw.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise SchemaError(f"storage.url: the encoding of the database is {encoding}; create one with encoding UTF8")


def version(raw: Raw) -> int:
    """Return the schema of a database, 0 if it has none."""
    if raw.execute("SELECT to_regclass('relay_schema')").fetchone() == (None,):
        return 0
    row = raw.execute(_VERSION).fetchone()
    return int(row[0]) if row else 0


def check_version(version: int, newest: int) -> None:
    """Raise SchemaError for a schema that is newer than the newest this program has."""
    if version > newest:
        raise SchemaError(
            f"storage.url: schema {version} of the database is newer than this program, which supports {newest}; "
            "install the newer relay"
        )


def check_complete(raw: Raw) -> None:
    """Raise SchemaError for a database with an incomplete copy of a SQLite one."""
    if raw.execute("SELECT to_regclass('relay_transfer')").fetchone() == (None,):
        return
    if raw.execute("SELECT 1 FROM relay_transfer WHERE NOT done").fetchone():
        raise SchemaError(
            "storage.url: a SQLite database was copied in part; run `relay storage migrate` again, it goes on there"
        )


def _named(raw: Raw) -> str:
    return str(raw.info.parameter_status("server_version"))


def _take_step(raw: Raw, steps: Mapping[int, str]) -> bool:
    """Take the next missing step; return whether there was one."""
    with raw.transaction(), psycopg.RawCursor(raw) as cursor:
        cursor.execute(_LOCK)
        cursor.execute(_TABLE)
        row = cursor.execute(_VERSION).fetchone()
        made: int = row[0] if row else 0
        check_version(made, max(steps))
        number = min((number for number in steps if number > made), default=None)
        if number is None:
            return False
        cursor.execute(steps[number])
        cursor.execute(_MADE, (number,))
        return True
