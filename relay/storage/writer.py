"""Group commit: all waiting operations share the next transaction, and their callers resume after COMMIT.

One thread, one connection, one transaction at a time. A batch first runs without savepoints, which cost a copy of
every page they touch. When an operation raises, the batch is rolled back and run again with a savepoint for each, so
that the operation fails alone. A batch that the server ended as the victim of a deadlock runs again too. Operations
therefore must be repeatable after a rollback.

Operations of a group (`storage.grouped_operations`) run together at first, and each by itself the second time.

Operations submitted during a transaction form the next one. When transactions follow each other closely, the next one
waits briefly for more operations: each costs a flush and two thread switches, whatever its size.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from relay.events.ports import StoreError
from relay.storage.database import DbSession, DriverConnection, Operation
from relay.storage.grouped_operations import run_operations

T = TypeVar("T")

MAX_BATCH = 1000

MAX_BATCH_BYTES = 8 << 20
"""Limits of one transaction: they bound the wait of an operation for earlier ones."""

MAX_WAITING = 20_000

MAX_WAITING_BYTES = 128 << 20
"""Limits of waiting operations, above which new content is refused; settlements are always accepted."""

GATHER = 0.0015
"""Seconds that a transaction waits for more operations while the store is busy."""

DEADLOCK_TRIES = 3
"""Times that an operation runs again as the victim of a deadlock: the other transaction may be slow to go on."""

_BUSY_COUNT, _BUSY_SPAN = 4, 0.01
"""Transactions and seconds: the store is busy when that many ended within that time."""


Seconds = Callable[[float], None]
"""Gets the seconds that a transaction took."""


def unmeasured(_: float) -> None:
    """Measure nothing."""


@dataclass(frozen=True, slots=True)
class _Fault:
    """Failure of one operation, returned to its caller."""

    error: Exception


@dataclass(slots=True, eq=False)
class _Waiter:
    operation: Operation[Any]
    cost: int
    future: asyncio.Future[Any]


class Writer:
    """Queue of operations for the writing connection."""

    def __init__(self, link: DriverConnection, rolled_back: Callable[[], None]) -> None:
        self._link = link
        self._rolled_back = rolled_back
        self._waiting: deque[_Waiter] = deque()
        self._waiting_bytes = 0
        self._batch: list[_Waiter] = []
        self._wake = asyncio.Event()
        self._ended: deque[float] = deque([0.0] * _BUSY_COUNT, _BUSY_COUNT)
        self._closed = False
        self.measure: Seconds = unmeasured
        self.fault: StoreError | None = None
        """Error of the last transaction; None when it succeeded."""
        self._task = asyncio.create_task(self._run(), name="store writer")

    async def run(self, operation: Operation[T], cost: int = 0) -> T:
        """Run the operation in the next transaction; return its value when that is on disk.

        `cost` is the bytes it adds, 0 for an operation that must never be refused. When it is cancelled before its
        transaction began, it does not run; afterwards the transaction completes all the same.
        """
        result: T = await self.submit(operation, cost)
        return result

    def submit(self, operation: Operation[T], cost: int = 0) -> asyncio.Future[T]:
        """Submit without waiting. Operations take effect in the order of submission, a group with its first one."""
        if self._closed:
            raise StoreError("the store is closed")
        if cost and (len(self._waiting) >= MAX_WAITING or self._waiting_bytes + cost > MAX_WAITING_BYTES > cost):
            raise StoreError(f"the disk is behind: {self._waiting_bytes} bytes wait to be written; try again soon")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiter(operation, cost, future))
        self._waiting_bytes += cost
        self._wake.set()
        return future

    def post(self, operation: Operation[object]) -> None:
        """Submit an operation that is not awaited, because a failure is harmless."""
        self.submit(operation).add_done_callback(lambda future: future.cancelled() or future.exception())

    async def close(self) -> None:
        """Complete the waiting operations and accept no more."""
        self._closed = True
        self._wake.set()
        await self._task

    async def _run(self) -> None:
        try:
            while self._waiting or not self._closed:
                await self._wake.wait()
                self._wake.clear()
                while self._waiting:
                    await self._gather()
                    self._batch = self._next_batch()
                    await self._commit(self._batch)
        finally:
            self._abandon()

    async def _gather(self) -> None:
        """Wait for more operations while the store is busy."""
        now = asyncio.get_running_loop().time()
        if now - self._ended[0] < _BUSY_SPAN and not self._closed:
            await asyncio.sleep(GATHER)

    def _abandon(self) -> None:
        """Fail all waiting operations when the writer ends early: by a defect, or because the event loop is closed."""
        self._closed = True
        for waiter in (*self._batch, *self._waiting):
            if not waiter.future.done():
                waiter.future.set_exception(StoreError("the store is closed"))
        self._waiting.clear()

    def _next_batch(self) -> list[_Waiter]:
        batch: list[_Waiter] = []
        size = 0
        while self._waiting and len(batch) < MAX_BATCH and size < MAX_BATCH_BYTES:
            waiter = self._waiting.popleft()
            self._waiting_bytes -= waiter.cost
            if not waiter.future.done():
                batch.append(waiter)
                size += waiter.cost
        return batch

    async def _commit(self, batch: Sequence[_Waiter]) -> None:
        if not batch:
            return

        operations = [waiter.operation for waiter in batch]
        began = asyncio.get_running_loop().time()
        try:
            results = await self._link.run(lambda session: self._transact(session, operations))
        except self._link.errors as error:
            self.fault = await asyncio.to_thread(self._link.store_error, error)
            results = [_Fault(self.fault)] * len(batch)
        else:
            self.fault = None

        ended = asyncio.get_running_loop().time()
        self._ended.append(ended)
        self.measure(ended - began)
        for waiter, result in zip(batch, results, strict=True):
            if waiter.future.done():
                continue
            if isinstance(result, _Fault):
                waiter.future.set_exception(self._for_waiter(result.error))
            else:
                waiter.future.set_result(result)

    def _for_waiter(self, error: Exception) -> Exception:
        if isinstance(error, self._link.errors | UnicodeError | OverflowError):
            return self._link.store_error(error)
        return StoreError(str(error), full=error.full) if error is self.fault and self.fault else error

    def _transact(self, session: DbSession, operations: Sequence[Operation[Any]]) -> list[Any]:
        """Run a batch in the connection's thread. Raises the driver's error when nothing could be made durable."""
        try:
            with self._link.together(session) as connection:
                connection.execute(self._link.begin)
                results = run_operations(connection, operations)
                connection.execute("COMMIT")
        except Exception as error:
            self._roll_back(session)
            if self._link.fails_batch(error):
                self._link.reclaim_space(session)
                raise
            if len(operations) == 1 and not self._link.is_deadlock(error):
                return [_Fault(error)]
        else:
            return results
        return self._transact_apart(session, operations)

    def _transact_apart(self, session: DbSession, operations: Sequence[Operation[Any]]) -> list[Any]:
        """Run a batch again, each operation with a savepoint of its own."""
        try:
            session.execute(self._link.begin)
            results = [self._run_apart(session, operation) for operation in operations]
            session.execute("COMMIT")
        except self._link.errors:
            self._roll_back(session)
            self._link.reclaim_space(session)
            raise
        return results

    def _run_apart(self, session: DbSession, operation: Operation[Any]) -> Any:
        """Return the result of an operation, or its `_Fault`. As the victim of a deadlock it runs again."""
        for _ in range(DEADLOCK_TRIES):
            result = self._run_once(session, operation)
            if not (isinstance(result, _Fault) and self._link.is_deadlock(result.error)):
                break
        return result

    def _run_once(self, session: DbSession, operation: Operation[Any]) -> Any:
        """Return the result of an operation with a savepoint of its own, or its `_Fault`."""
        session.execute("SAVEPOINT one")
        try:
            result = operation(session)
        except Exception as error:
            if self._link.fails_batch(error):
                raise
            session.execute("ROLLBACK TO SAVEPOINT one")
            self._rolled_back()
            result = _Fault(error)
        session.execute("RELEASE SAVEPOINT one")
        return result

    def _roll_back(self, session: DbSession) -> None:
        # SQLite itself rolls back after some errors (https://sqlite.org/lang_transaction.html section 3).
        if session.in_transaction:
            session.execute("ROLLBACK")
        self._rolled_back()
