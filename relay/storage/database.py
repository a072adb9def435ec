"""What a table needs of the database it lies in, whichever that is; and what the machinery needs of its driver."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Protocol, TypeVar

from relay.events.ports import StoreError

T = TypeVar("T")


class Rows(Protocol):
    """The rows a statement gives."""

    @property
    def rowcount(self) -> int:
        """The number of rows the statement changed."""

    def fetchone(self) -> Any:
        """Return the next row, None when there is none."""

    def fetchall(self) -> list[Any]:
        """Return all rows that are left."""

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """Runs statements of the SQL that SQLite and PostgreSQL share; parameters are `?`."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Rows:
        """Run one statement."""

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> Rows:
        """Run one statement for each of the parameters."""


Operation = Callable[[Connection], T]
"""What runs inside a transaction, in the connection's thread. It must not commit."""


class Database(Protocol):
    """Runs operations on a connection. Both raise StoreError when the database does not do its work."""

    async def read(self, operation: Operation[T]) -> T:
        """Run an operation that only reads, all of it as of one moment; it keeps no writer waiting."""

    async def write(self, operation: Operation[T]) -> T:
        """Run an operation in the next transaction; return its value when that is durable.

        It must not commit, and it must be repeatable: a transaction that fails is run again.
        """


class DbSession(Connection, Protocol):
    """A connection that tells whether a transaction is open on it."""

    @property
    def in_transaction(self) -> bool:
        """Whether ROLLBACK has something to roll back."""


class DriverConnection(Protocol):
    """A connection in a thread of its own, and what is particular to its driver."""

    begin: ClassVar[str]
    """The statement that begins a transaction that writes."""
    begin_read: ClassVar[str]
    """The statement that begins a transaction that reads, all of it as of one moment."""
    errors: ClassVar[type[Exception]]
    """What the driver raises."""

    async def run(self, function: Callable[[DbSession], T]) -> T:
        """Run the function in the connection's thread, one hop however many statements it makes."""

    def together(self, session: DbSession) -> AbstractContextManager[Connection]:
        """Return what runs statements whose results nobody waits for one by one; leaving it, all have run."""

    def fails_batch(self, error: BaseException) -> bool:
        """Tell whether the error comes from the database as a whole rather than from the operation it struck."""

    def reclaim_space(self, session: DbSession) -> None:
        """After a failed write, do what may let the next one succeed."""

    def store_error(self, error: Exception) -> StoreError:
        """Return the error in the words the operator reads. May block."""

    async def close(self) -> None:
        """Close the connection. Closing again does nothing."""
