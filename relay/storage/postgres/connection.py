"""Psycopg connections and SQL dialect."""

import asyncio
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any, ClassVar, TypeVar

import psycopg
from psycopg.adapt import Buffer, Dumper
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus
from psycopg.types.numeric import Int8BinaryDumper

from relay.config.masking import mask_url
from relay.events.ports import StoreError
from relay.storage.database import Connection, DbSession, Operation, Rows
from relay.storage.postgres.errors import is_away, store_error

_HINT = re.compile(r" INDEXED BY \w+")

_PLACE = re.compile(r"\?(\d*)")


@lru_cache(maxsize=2048)
def translated(sql: str) -> str:
    """Return the statement with `$n` for `?` and `?n`, its function names, and no hints to SQLite's planner."""
    count = 0

    def place(found: re.Match[str]) -> str:
        nonlocal count
        count += 1
        return f"${found[1] or count}"

    named = sql.replace("instr(", "strpos(").replace("json_group_array(", "json_agg(")
    return _PLACE.sub(place, _HINT.sub("", named))


T = TypeVar("T")

Raw = psycopg.Connection[tuple[Any, ...]]

CONNECT_TIMEOUT = 5

_RETRY_AFTER = 0.5
"""Seconds after a failed connection in which no other is tried."""

_CHECK_AFTER = 1.0
"""Seconds of idleness after which a connection is checked before use."""

_BOUNDS: dict[str, Any] = {
    "connect_timeout": CONNECT_TIMEOUT,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "application_name": "relay",
}
"""Defaults for parameters missing in the URL: a silent server fails within ten seconds."""


class Target:
    """Where to connect, shared by all connections of a store."""

    def __init__(self, url: str, password: str = "", read_password: Callable[[], str] = str) -> None:
        """Use this URL, with the password unless it has one. Raises StoreError for an invalid URL.

        `read_password` blocks, and returns the password that is configured now, "" for none.
        """
        self.url = with_password(url, password)
        self._read_password = read_password

    def renew(self) -> bool:
        """Read the password anew; return whether it changed. Blocking."""
        password = self._read_password()
        if not password or password == conninfo_to_dict(self.url).get("password"):
            return False
        self.url = make_conninfo(self.url, password=password)
        return True


_SETTINGS = "SET idle_in_transaction_session_timeout = '10s'; SET client_min_messages = warning; SET jit = off"
"""A process that stops within a transaction must not keep its locks."""

SEEKING = "SET enable_seqscan = off"
"""For statements with an index each: a plan made while a table was empty must not persist."""

_SEEKING_NOW = "SET LOCAL enable_seqscan = off"


class _BoolDumper(Dumper):
    """Dumps booleans so that they fit BOOLEAN and INTEGER columns."""

    def dump(self, obj: Any) -> Buffer:
        """Return 1 or 0, of a type that the column decides."""
        return b"1" if obj else b"0"


class _Cursor(psycopg.RawCursor[tuple[Any, ...]]):
    """A cursor whose row count is correct inside a pipeline too."""

    pipeline: psycopg.Pipeline | None = None

    @property
    def rowcount(self) -> int:
        """Number of rows that the statement changed."""
        if self.pipeline is not None:
            self.pipeline.sync()
        return super().rowcount


class PostgresSession:
    """Implements `storage.database.DbSession` over a psycopg connection."""

    def __init__(self, raw: Raw) -> None:
        self.raw = raw
        self.pipeline: psycopg.Pipeline | None = None

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Rows:
        """Run one statement."""
        cursor = self._cursor()
        cursor.execute(translated(sql), parameters or None)
        return cursor

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> Rows:
        """Run one statement for each of the parameters, sent in one write."""
        cursor = self._cursor()
        cursor.executemany(translated(sql), parameters)
        return cursor

    @property
    def in_transaction(self) -> bool:
        """Whether ROLLBACK has something to roll back."""
        return self.raw.info.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR)

    def _cursor(self) -> _Cursor:
        cursor = _Cursor(self.raw)
        cursor.format = psycopg.pq.Format.BINARY
        cursor.pipeline = self.pipeline
        return cursor


class PostgresLink:
    """Implements `storage.database.DriverConnection`."""

    begin: ClassVar[str] = "BEGIN"
    begin_read: ClassVar[str] = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    errors: ClassVar[type[Exception]] = psycopg.Error

    def __init__(self, target: Target, *, seeking: bool = False) -> None:
        """Connect at first use. `seeking` is for connections whose statements all have an index."""
        self._target = target
        self._seeking = seeking
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="postgresql")
        self._session: PostgresSession | None = None
        self._used_at = 0.0
        self._refused_until = 0.0
        self._refusal = ""

    async def run(self, function: Callable[[DbSession], T]) -> T:
        """Run the function in the connection's thread, connecting first where necessary."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._call, function)

    @contextmanager
    def together(self, session: DbSession) -> Iterator[DbSession]:
        """Send statements without waiting for earlier results (libpq's pipeline mode)."""
        assert isinstance(session, PostgresSession)
        with session.raw.pipeline() as pipeline:
            session.pipeline = pipeline
            try:
                yield session
            finally:
                session.pipeline = None

    def fails_batch(self, error: BaseException) -> bool:
        """Whether the error comes from the server or the network."""
        return is_away(error)

    def is_deadlock(self, error: BaseException) -> bool:
        """Whether the server ended the transaction because it and another one waited for each other."""
        return isinstance(error, psycopg.errors.DeadlockDetected)

    def reclaim_space(self, session: DbSession) -> None:
        """Do nothing: the server frees its own space."""

    def store_error(self, error: Exception) -> StoreError:
        """Convert an error of the driver into one for operators."""
        return store_error(error)

    async def close(self) -> None:
        """Close the connection and end its thread."""
        with suppress(RuntimeError):  # Closed before.
            await asyncio.get_running_loop().run_in_executor(self._thread, self._drop)
        self._thread.shutdown(wait=False)

    def _call(self, function: Callable[[DbSession], T]) -> T:
        session = self._open()
        try:
            return function(session)
        except psycopg.Error as error:
            # A server that became read-only or goes down may have a successor behind the same address.
            if is_away(error):
                self._drop()
            raise
        finally:
            self._used_at = time.monotonic()
            if session.raw.broken:
                self._drop()

    def _open(self) -> PostgresSession:
        if self._session is not None and time.monotonic() - self._used_at > _CHECK_AFTER:
            try:
                self._session.execute("SELECT 1")
            except psycopg.Error:
                self._drop()
        if self._session is None:
            self._session = PostgresSession(self._connect())
        return self._session

    def _connect(self) -> Raw:
        if time.monotonic() < self._refused_until:
            raise psycopg.OperationalError(self._refusal)
        try:
            raw = connect(self._target)
            if self._seeking:
                raw.execute(SEEKING)
        except psycopg.Error as error:
            self._refused_until, self._refusal = time.monotonic() + _RETRY_AFTER, str(error)
            raise
        return raw

    def _drop(self) -> None:
        if self._session is not None:
            self._session.raw.close()
            self._session = None


def connect(target: Target) -> Raw:
    """Connect, with a bound on the wait for a silent server. Raises psycopg.Error. Blocking.

    After a failure the password is read anew. Refused connections have no SQLSTATE, and their texts are translated.
    """
    try:
        raw: Raw = psycopg.connect(**parameters(target.url), autocommit=True)
    except psycopg.OperationalError:
        if not target.renew():
            raise
        raw = psycopg.connect(**parameters(target.url), autocommit=True)
    raw.adapters.register_dumper(bool, _BoolDumper)
    raw.adapters.register_dumper(int, Int8BinaryDumper)
    raw.execute(_SETTINGS)
    return raw


def seeking(operation: Operation[T]) -> Operation[T]:
    """Disable sequential scans for this operation, whose statements all have an index."""

    def without_scans(raw: Connection) -> T:
        raw.execute(_SEEKING_NOW)
        return operation(raw)

    return without_scans


def parameters(url: str) -> dict[str, Any]:
    """Return the connection parameters of the URL, with defaults for the time limits it omits.

    Of several hosts the one that can write is used: after a failover that is another one.
    """
    given = conninfo_to_dict(url)
    several = {"target_session_attrs": "read-write"} if "," in str(given.get("host", "")) else {}
    return _BOUNDS | several | given


def with_password(url: str, password: str) -> str:
    """Add the password to a URL without one. Raises StoreError for an invalid URL."""
    try:
        silent = password and "password" not in conninfo_to_dict(url)
        return make_conninfo(url, password=password) if silent else url
    except psycopg.Error as error:
        text = "is not a URL that PostgreSQL accepts" if mask_url(url) != url else str(error).strip()
        raise StoreError(f"storage.url: {text}") from None  # The error of psycopg repeats parts of the URL.
