"""Runs the operations of a store's parts: writes on one connection, reads on others."""

from typing import Protocol, TypeVar

from relay.clock import steady_clock
from relay.events.ports import StoreError
from relay.storage.database import Connection, DbSession, DriverConnection, Operation
from relay.storage.writer import Seconds, Writer, unmeasured

T = TypeVar("T")

ROW_COST = 1024
"""Octets counted for a row, in addition to its content."""


class Space(Protocol):
    """The space of a store for new mail."""

    def check(self, *sizes: int) -> None:
        """Raise StoreError when mail of one of these sizes does not fit."""

    def refused(self, size: int) -> None:
        """Note that mail of that size found no space when it was written."""


class ServerSpace:
    """The space of a database server, of which only the server has figures."""

    def check(self, *sizes: int) -> None:
        """Do nothing: the server refuses what does not fit."""

    def refused(self, size: int) -> None:
        """Do nothing."""


class StoreDatabase:
    """Implements `storage.database.Database` for all parts of one store.

    Reads use connections of their own and never delay a write. All methods raise StoreError.
    """

    def __init__(self, reading: DriverConnection, writer: Writer, space: Space) -> None:
        """Use these connections."""
        self._reading = reading
        self._writer = writer
        self._space = space
        self._measure_read: Seconds = unmeasured

    def measure(self, commit: Seconds, read: Seconds) -> None:
        """From now on call these with the seconds of each transaction that wrote, and of each that read."""
        self._writer.measure = commit
        self._measure_read = read

    async def read(self, operation: Operation[T]) -> T:
        """Run an operation that only reads, beside the writer."""
        began = steady_clock()
        found = await read_transaction(self._reading, operation)
        self._measure_read(steady_clock() - began)
        return found

    async def write(self, operation: Operation[T], cost: int = 0) -> T:
        """Run an operation in the next transaction; return its value when that is durable.

        `cost` is in octets, 0 for operations that must never be refused (see `Writer.run`).
        """
        return await self._writer.run(operation, cost)

    async def write_mail(self, operation: Operation[T], size: int) -> T:
        """Write new mail of that many octets, which requires free space beyond the reserve."""

        def checked(raw: Connection) -> T:
            self.check_space(size)
            return operation(raw)

        return await self.write_checked_mail(checked, size)

    def check_space(self, *sizes: int) -> None:
        """Raise StoreError when mail of one of these sizes does not fit. Called in the transaction that writes it."""
        self._space.check(*sizes)

    async def write_checked_mail(self, operation: Operation[T], size: int) -> T:
        """Write new mail of that many octets by an operation that calls `check_space`."""
        try:
            return await self._writer.run(operation, size)
        except StoreError as error:
            if error.full:
                self._space.refused(size)
            raise


async def read_transaction(link: DriverConnection, operation: Operation[T]) -> T:
    """Run an operation in a read transaction of its own. Raises StoreError when that fails."""

    def transact(session: DbSession) -> T:
        try:
            with link.together(session) as connection:
                connection.execute(link.begin_read)
                found = operation(connection)
                connection.execute("COMMIT")
        finally:
            if session.in_transaction:
                session.execute("ROLLBACK")
        return found

    try:
        return await link.run(transact)
    except link.errors as error:
        raise link.store_error(error) from error
