"""Group commit: what waits goes together, what fails fails alone, what breaks is mended."""

import asyncio
import resource
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from relay.events.ports import RejectedError, StoreError
from relay.storage import writer as writing
from relay.storage.database import Connection, Operation
from relay.storage.grouped_operations import GroupedOperation
from relay.storage.sqlite.connection import SqliteLink, connect_writer, in_thread
from relay.storage.sqlite.schema import prepare
from relay.storage.writer import Writer

TABLE = {1: "CREATE TABLE t (value TEXT PRIMARY KEY);"}


@dataclass
class Bench:
    writer: Writer
    raw: Callable[[str], "asyncio.Future[list[tuple[object, ...]]]"]
    rollbacks: list[int] = field(default_factory=list)

    async def values(self) -> list[object]:
        return [row[0] for row in await self.raw("SELECT value FROM t ORDER BY value")]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    path = tmp_path / "w.db"
    prepare(path, existed=False, steps=TABLE)
    connection = await connect_writer(path, 64)

    def raw(sql: str) -> "asyncio.Future[list[tuple[object, ...]]]":
        return asyncio.ensure_future(in_thread(connection, lambda raw: raw.execute(sql).fetchall()))

    made = Bench(writer=Writer(SqliteLink(connection, path), lambda: made.rollbacks.append(1)), raw=raw)
    yield made
    await made.writer.close()
    await connection.close()


def put(value: str) -> Callable[[Connection], str]:
    def operation(raw: Connection) -> str:
        raw.execute("INSERT INTO t VALUES (?)", (value,))
        return value

    return operation


class Gate:
    """An operation that keeps the writer's thread until it is opened, so that others pile up behind it."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self, _: Connection) -> None:
        self.entered.set()
        assert self.opened.wait(10)

    async def passed_by(self, writer: Writer) -> "asyncio.Future[None]":
        waiting = writer.submit(self)
        await asyncio.to_thread(self.entered.wait, 10)
        return waiting


async def test_a_value_comes_back_after_the_commit(bench: Bench) -> None:
    assert await bench.writer.run(put("a")) == "a"
    assert await bench.values() == ["a"]


async def test_what_waits_shares_a_transaction(bench: Bench) -> None:
    begun: list[str] = []

    def trace(sql: str) -> None:
        if sql.startswith("BEGIN"):
            begun.append(sql)

    def watch(raw: Connection) -> None:
        assert isinstance(raw, sqlite3.Connection)
        raw.set_trace_callback(trace)

    await bench.writer.run(watch)
    gate = Gate()
    first = await gate.passed_by(bench.writer)
    rest = [bench.writer.submit(put(f"{number:03}")) for number in range(100)]
    gate.opened.set()
    await asyncio.gather(first, *rest)
    assert len(begun) == 2
    assert await bench.values() == [f"{number:03}" for number in range(100)]


async def test_order_is_kept(bench: Bench) -> None:
    seen: list[int] = []

    def note(number: int, _: Connection) -> None:
        seen.append(number)

    await asyncio.gather(*(bench.writer.run(partial(note, number)) for number in range(50)))
    assert seen == list(range(50))


async def test_a_failing_operation_fails_alone(bench: Bench) -> None:
    def defect(raw: Connection) -> None:
        raw.execute("INSERT INTO t VALUES ('half')")
        raise KeyError("defect")

    results = await asyncio.gather(
        *(bench.writer.run(operation) for operation in (put("a"), defect, put("a"), put("\udcff"), put("b"))),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [str, KeyError, RejectedError, RejectedError, str]
    assert await bench.values() == ["a", "b"]
    assert bench.rollbacks


class Putting:
    """Puts values in groups, and remembers which came together."""

    def __init__(self) -> None:
        self.together: list[list[str]] = []

    def run(self, raw: Connection, values: Sequence[str]) -> list[str]:
        self.together.append(list(values))
        raw.executemany("INSERT INTO t VALUES (?)", [(value,) for value in values])
        return [f"{value} is put" for value in values]

    def put(self, value: str) -> GroupedOperation[str, str]:
        return GroupedOperation(self.run, value)


@pytest.mark.parametrize("deadlocks", [1, 2, writing.DEADLOCK_TRIES, writing.DEADLOCK_TRIES + 1])
async def test_the_victim_of_deadlocks_runs_again_a_few_times(
    bench: Bench, deadlocks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SqliteLink, "is_deadlock", lambda _, error: str(error) == "deadlock")
    left = deadlocks

    def operation(raw: Connection) -> str:
        nonlocal left
        raw.execute("INSERT INTO t VALUES ('written')")
        left -= 1
        if left >= 0:
            raise sqlite3.IntegrityError("deadlock")
        return "done"

    if deadlocks > writing.DEADLOCK_TRIES:
        with pytest.raises(StoreError, match="deadlock"):
            await bench.writer.run(operation)
        assert await bench.values() == []
    else:
        assert await bench.writer.run(operation) == "done"
        assert await bench.values() == ["written"]


async def test_a_group_runs_once_in_place_of_its_first_operation(bench: Bench) -> None:
    gate, one, other, seen = Gate(), Putting(), Putting(), list[object]()
    first = await gate.passed_by(bench.writer)

    def look(raw: Connection) -> None:
        seen.extend(value for (value,) in raw.execute("SELECT value FROM t ORDER BY value"))

    operations: list[Operation[object]] = [
        put("p"),
        one.put("a"),
        other.put("x"),
        look,
        one.put("b"),
        put("q"),
        one.put("c"),
    ]
    waiting = [bench.writer.submit(operation) for operation in operations]
    gate.opened.set()
    await first
    assert await asyncio.gather(*waiting) == ["p", "a is put", "x is put", None, "b is put", "q", "c is put"]
    assert (one.together, other.together) == ([["a", "b", "c"]], [["x"]])
    assert seen == ["a", "b", "c", "p", "x"]
    assert not bench.rollbacks


async def test_an_operation_of_a_group_fails_alone(bench: Bench) -> None:
    gate, group = Gate(), Putting()
    first = await gate.passed_by(bench.writer)
    waiting = [bench.writer.submit(group.put(value)) for value in ("a", "b", "a", "c")]
    gate.opened.set()
    await first
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert results[:2] + results[3:] == ["a is put", "b is put", "c is put"]
    assert isinstance(results[2], StoreError)
    assert group.together == [["a", "b", "a", "c"], ["a"], ["b"], ["a"], ["c"]]
    assert await bench.values() == ["a", "b", "c"]


async def test_a_full_disk_fails_the_batch_and_passes(bench: Bench) -> None:
    pages = (await bench.raw("PRAGMA page_count"))[0][0]
    await bench.raw(f"PRAGMA max_page_count = {pages}")
    results = await asyncio.gather(
        *(bench.writer.run(put(f"{number}{'x' * 60_000}")) for number in range(3)), return_exceptions=True
    )
    assert all(isinstance(result, StoreError) and result.full for result in results)
    assert bench.writer.fault is not None
    assert await bench.values() == []
    await bench.raw("PRAGMA max_page_count = 1000000")
    assert await bench.writer.run(put("a")) == "a"
    assert bench.writer.fault is None


async def test_a_file_size_limit_is_full_too(bench: Bench, tmp_path: Path) -> None:
    await bench.writer.run(put("a"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "w.db-wal").stat().st_size + 5000, before[1]))
    try:
        with pytest.raises(StoreError) as refused:
            await bench.writer.run(put("x" * 200_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert refused.value.full
    assert not list(tmp_path.glob("*-probe"))
    assert await bench.writer.run(put("b")) == "b"
    assert await bench.values() == ["a", "b"]


async def test_a_failed_commit_fails_the_batch_and_passes(bench: Bench) -> None:
    await bench.raw("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
    await bench.raw("CREATE TABLE child (id INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED)")
    await bench.raw("PRAGMA foreign_keys = ON")
    results = await asyncio.gather(
        bench.writer.run(put("a")),
        bench.writer.run(lambda raw: raw.execute("INSERT INTO child VALUES (7)")),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [StoreError, StoreError]
    assert await bench.values() == []
    assert await bench.writer.run(put("b")) == "b"


async def test_cancelled_before_its_transaction_it_is_not_run(bench: Bench) -> None:
    gate = Gate()
    first = await gate.passed_by(bench.writer)
    tasks = [asyncio.create_task(bench.writer.run(put(value))) for value in ("a", "b")]
    await asyncio.sleep(0)
    tasks[0].cancel()
    gate.opened.set()
    await asyncio.gather(first, *tasks, return_exceptions=True)
    assert await bench.values() == ["b"]


async def test_cancelled_in_its_transaction_it_is_completed(bench: Bench) -> None:
    gate = Gate()

    def operation(raw: Connection) -> None:
        put("a")(raw)
        gate(raw)
        put("b")(raw)

    task = asyncio.create_task(bench.writer.run(operation))
    await asyncio.to_thread(gate.entered.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.opened.set()
    await bench.writer.run(put("c"))
    assert await bench.values() == ["a", "b", "c"]


async def test_too_much_waiting_is_refused_unless_it_settles(bench: Bench) -> None:
    gate = Gate()
    first = await gate.passed_by(bench.writer)
    large = bench.writer.submit(put("large"), writing.MAX_WAITING_BYTES - 10)
    with pytest.raises(StoreError, match="the disk is behind") as refused:
        bench.writer.submit(put("more"), 11)
    assert not refused.value.full
    settling = bench.writer.submit(put("settling"))
    gate.opened.set()
    await asyncio.gather(first, large, settling)
    assert await bench.writer.run(put("more"), 11) == "more"


async def test_one_larger_than_the_bound_is_taken_all_the_same(bench: Bench) -> None:
    assert await bench.writer.run(put("a"), writing.MAX_WAITING_BYTES + 1) == "a"


async def test_closing_completes_what_waits(tmp_path: Path) -> None:
    path = tmp_path / "w.db"
    prepare(path, existed=False, steps=TABLE)
    connection = await connect_writer(path, 64)
    writer = Writer(SqliteLink(connection, path), lambda: None)
    waiting = [writer.submit(put(value)) for value in ("a", "b")]
    await writer.close()
    assert [future.result() for future in waiting] == ["a", "b"]
    with pytest.raises(StoreError, match="closed"):
        writer.submit(put("c"))
    await connection.close()


async def test_a_foreign_lock_is_waited_out_or_reported(bench: Bench, tmp_path: Path) -> None:
    await bench.raw("PRAGMA busy_timeout = 50")
    other = sqlite3.connect(tmp_path / "w.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked") as refused:
        await bench.writer.run(put("a"))
    assert not refused.value.full
    other.execute("ROLLBACK")
    other.close()
    assert await bench.writer.run(put("a")) == "a"
