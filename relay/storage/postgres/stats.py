"""Size, schema and row counts of a PostgreSQL store. Blocking."""

import psycopg

from relay.storage.postgres.connection import Raw, Target, connect
from relay.storage.postgres.errors import store_error
from relay.storage.sqlite.stats import Each, StoreStats

_SCHEMA = "SELECT max(version) FROM relay_schema"

_TABLES = (
    "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') "
    "AND NOT relispartition ORDER BY relname"
)

_OCTETS = (
    "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class "
    "WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'"
)


def survey_postgres(target: Target, shown: str, each: Each = iter) -> StoreStats:
    """Survey a database; `shown` is its URL without the password. Raises StoreError when it does not respond."""
    try:
        with connect(target) as raw:
            if raw.execute("SELECT to_regclass('relay_schema')").fetchone() == (None,):
                return StoreStats(f"PostgreSQL, {shown}", str(raw.info.server_version), 0, 0, {})
            (number,) = raw.execute(_SCHEMA).fetchone() or (0,)
            (octets,) = raw.execute(_OCTETS).fetchone() or (0,)
            names = [name for (name,) in raw.execute(_TABLES)]
            rows = {name: _count(raw, name) for name in each(names)}
            version = str(raw.info.parameter_status("server_version"))
    except psycopg.Error as error:
        raise store_error(error) from error
    return StoreStats(f"PostgreSQL, {shown}", version, number or 0, octets, rows)


def _count(raw: Raw, name: str) -> int:
    (count,) = raw.execute(f"SELECT count(*) FROM {name}".encode()).fetchone() or (0,)  # noqa: S608  names of the schema
    return int(count)
