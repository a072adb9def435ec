"""Interfaces between tables, the database and its driver, common to SQLite and PostgreSQL."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Protocol, TypeVar

from relay.events.ports import StoreError

T = TypeVar("T")


class Rows(Protocol):
    """Result rows of a statement."""

    @property
    def rowcount(self) -> int:
        """Number of rows that the statement changed."""

    def fetchone(self) -> Any:
        """Return the next row, None when there is none."""

    def fetchall(self) -> list[Any]:
        """Return all remaining rows."""

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """Runs statements of the SQL that SQLite and PostgreSQL share; parameters are `?`."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Rows:
        """Run one statement."""

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> Rows:
        """Run one statement for each of the parameters."""


Operation = Callable[[Connection], T]
"""Runs inside a transaction, in the connection's thread. It must not commit."""


class Database(Protocol):
    """Runs operations on a connection. Both methods raise StoreError when the database fails."""

    async def read(self, operation: Operation[T]) -> T:
        """Run an operation that only reads, on one snapshot; it does not delay writers."""

    async def write(self, operation: Operation[T]) -> T:
        """Run an operation in the next transaction; return its value when that is durable.

        It must not commit, and it must be repeatable: a transaction that fails is run again.
        """


class DbSession(Connection, Protocol):
    """A connection with its transaction state."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, so that ROLLBACK has an effect."""


class DriverConnection(Protocol):
    """A connection in a thread of its own, with the particulars of its driver."""

    begin: ClassVar[str]
    """Statement that begins a transaction that writes."""
    begin_read: ClassVar[str]
    """Statement that begins a transaction that reads one snapshot."""
    errors: ClassVar[type[Exception]]
    """Base class of the driver's exceptions."""

    async def run(self, function: Callable[[DbSession], T]) -> T:
        """Run the function in the connection's thread, one hop for all its statements."""

    def together(self, session: DbSession) -> AbstractContextManager[Connection]:
        """Return a connection for statements whose results are not read one by one; at its exit all have run."""

    def fails_batch(self, error: BaseException) -> bool:
        """Whether the error comes from the database as a whole and not from one operation."""

    def is_deadlock(self, error: BaseException) -> bool:
        """Whether the server ended the transaction because it and another one waited for each other."""

    def reclaim_space(self, session: DbSession) -> None:
        """After a failed write, free space for the next one."""

    def store_error(self, error: Exception) -> StoreError:
        """Convert an error of the driver into one for operators. May block."""

    async def close(self) -> None:
        """Close the connection. Closing again does nothing."""
