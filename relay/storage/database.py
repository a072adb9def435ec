"""What a table needs of the database it lies in, whichever that is."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

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


class Database(Protocol):
    """Runs operations on a connection. Both raise StoreError when the database does not do its work."""

    async def read(self, operation: Callable[[Connection], T]) -> T:
        """Run an operation that only reads; it keeps no writer waiting."""

    async def write(self, operation: Callable[[Connection], T]) -> T:
        """Run an operation in the next transaction; return its value when that is durable.

        It must not commit, and it must be repeatable: a transaction that fails is run again.
        """
