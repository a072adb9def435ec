"""The database file at start: created, upgraded, or refused with a reason."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from importlib import resources
from pathlib import Path

import pytest

from relay.events.ports import StoreError
from relay.storage.errors import DamagedError, SchemaError, StoreLockedError
from relay.storage.sqlite import schema
from relay.storage.sqlite.connection import PAGE_SIZE
from relay.storage.sqlite.store import SqliteStore
from tests.contract.values import NOW, accepted

NEWEST = max(schema.migrations())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "relay.db"


async def fill(path: Path, messages: int = 40) -> None:
    store = await SqliteStore.open(path, now=NOW)
    for number in range(messages):
        await store.queue.enqueue(accepted(f"M{number:03}", content=bytes(40_000)))
    await store.close()


async def refused(path: Path, kind: type[StoreError], match: str) -> None:
    """Opening must fail, and leave the file as it was."""
    before = path.read_bytes() if path.exists() else None
    with pytest.raises(kind, match=match):
        await SqliteStore.open(path, now=NOW)
    assert (path.read_bytes() if path.exists() else None) == before


def pragma(path: Path, name: str) -> object:
    with closing(sqlite3.connect(path)) as raw:
        return raw.execute(f"PRAGMA {name}").fetchone()[0]


async def test_a_new_database_says_what_it_is(path: Path) -> None:
    await fill(path, 1)
    assert pragma(path, "application_id") == schema.APPLICATION_ID
    assert pragma(path, "user_version") == NEWEST
    assert pragma(path, "journal_mode") == "wal"
    assert pragma(path, "page_size") == PAGE_SIZE


async def test_migrations_are_numbered_without_gaps_or_twins() -> None:
    assert list(schema.migrations()) == list(range(1, NEWEST + 1))
    for folder in ("migrations", "migrations/postgres"):
        files = (resources.files("relay.storage") / folder).iterdir()
        numbers = [file.name.partition("_")[0] for file in files if file.name.endswith(".sql")]
        assert len(numbers) == len(set(numbers)), f"two of {folder} have one number: one of them never runs"


async def test_a_commit_reaches_the_disk(path: Path) -> None:
    store = await SqliteStore.open(path, now=NOW)
    assert await store.database.write(lambda raw: raw.execute("PRAGMA synchronous").fetchone()) == (2,)
    assert await store.database.write(lambda raw: raw.execute("PRAGMA journal_mode").fetchone()) == ("wal",)
    await store.close()


async def test_a_second_process_is_refused(path: Path) -> None:
    store = await SqliteStore.open(path, now=NOW)
    with pytest.raises(StoreLockedError, match="another relay process"):
        await SqliteStore.open(path, now=NOW)
    await store.close()
    again = await SqliteStore.open(path, now=NOW)
    await again.close()


async def test_a_newer_schema_is_refused(path: Path) -> None:
    await fill(path, 1)
    with closing(sqlite3.connect(path)) as raw:
        raw.execute(f"PRAGMA user_version = {NEWEST + 1}")
    await refused(path, SchemaError, f"schema {NEWEST + 1} is newer than this program, which supports {NEWEST}")


async def test_a_database_of_another_program_is_refused(path: Path) -> None:
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("CREATE TABLE songs (name TEXT)")
    await refused(path, SchemaError, "another program")


async def test_a_lost_database_is_not_replaced(path: Path) -> None:
    await fill(path, 1)
    path.unlink()
    await refused(path, DamagedError, "the database is gone, but there was one")
    path.touch()
    await refused(path, DamagedError, "the database is empty, but there was one")
    Path(f"{path}.lock").unlink()
    await fill(path, 1)


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (lambda data: data[:60], "does not begin like a database"),
        (lambda data: b"From root\n" * 200, "does not begin like a database"),
        (lambda data: data[: len(data) // 2], "cut short"),
        (lambda data: data[:PAGE_SIZE] + bytes(len(data) - PAGE_SIZE), "damaged|malformed"),
        (lambda data: data[: 2 * PAGE_SIZE] + b"\xff" * PAGE_SIZE + data[3 * PAGE_SIZE :], "damaged|malformed"),
    ],
    ids=["stub", "text", "cut", "zeroes", "scribble"],
)
async def test_a_damaged_database_is_refused(path: Path, damage: Callable[[bytes], bytes], match: str) -> None:
    await fill(path)
    path.write_bytes(damage(path.read_bytes()))
    await refused(path, DamagedError, match)


async def test_a_refused_database_leaves_the_lock_free(path: Path) -> None:
    await fill(path, 1)
    whole = path.read_bytes()
    path.write_bytes(whole[:60])
    await refused(path, DamagedError, "begin")
    path.write_bytes(whole)
    await fill(path, 0)


def test_an_upgrade_keeps_a_copy_of_what_there_was(path: Path) -> None:
    first = {1: "CREATE TABLE one (value TEXT); INSERT INTO one VALUES ('kept');"}
    schema.prepare(path, existed=False, steps=first)
    schema.prepare(path, existed=True, steps=first | {2: "ALTER TABLE one ADD COLUMN more TEXT DEFAULT 'new';"})
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("SELECT * FROM one").fetchall() == [("kept", "new")]
    copy = Path(f"{path}.schema-1")
    assert pragma(copy, "user_version") == 1
    with closing(sqlite3.connect(copy)) as raw:
        assert raw.execute("SELECT * FROM one").fetchall() == [("kept",)]


def test_an_upgrade_that_fails_changes_nothing(path: Path) -> None:
    first = {1: "CREATE TABLE one (value TEXT);"}
    schema.prepare(path, existed=False, steps=first)
    second = {2: "CREATE TABLE two (value TEXT); INSERT INTO nowhere VALUES (1);"}
    with pytest.raises(SchemaError, match="schema 2 could not be made, nothing was changed: no such table: nowhere"):
        schema.prepare(path, existed=True, steps=first | second)
    assert pragma(path, "user_version") == 1
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("SELECT name FROM sqlite_schema").fetchall() == [("one",)]


def test_nothing_is_copied_without_an_upgrade(path: Path) -> None:
    steps = {1: "CREATE TABLE one (value TEXT);"}
    schema.prepare(path, existed=False, steps=steps)
    schema.prepare(path, existed=True, steps=steps)
    assert sorted(file.name for file in path.parent.iterdir() if file.suffix != ".db-wal") == [path.name]
