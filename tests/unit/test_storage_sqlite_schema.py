"""The database file at start: created, upgraded, or refused with a reason."""

import resource
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from importlib import resources
from pathlib import Path

import pytest

from relay.events.ports import StoreError
from relay.queue.damage import hold_damaged
from relay.queue.entry import State
from relay.reports.ports import MessageQuery
from relay.storage import integrity
from relay.storage.errors import DamagedError, SchemaError, StoreLockedError
from relay.storage.sqlite import schema
from relay.storage.sqlite.connection import PAGE_SIZE
from relay.storage.sqlite.stats import survey_sqlite
from relay.storage.sqlite.store import SqliteStore
from tests.contract.values import NOW, ROOMY, accepted, forget_recent, settle

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


async def test_a_disk_without_space_is_named_and_the_database_is_not_called_damaged(path: Path) -> None:
    await fill(path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
    try:
        with pytest.raises(StoreError, match="its disk has no space left; free some and start again") as raised:
            schema.prepare(path, existed=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert raised.value.full
    assert not isinstance(raised.value, DamagedError)
    schema.prepare(path, existed=True)


def zero_page_of(path: Path, content: bytes) -> None:
    """Zero the page of the file in which this content begins to fill whole pages."""
    data = bytearray(path.read_bytes())
    page = data.index(content * (PAGE_SIZE // len(content) - 2)) // PAGE_SIZE
    data[page * PAGE_SIZE : (page + 1) * PAGE_SIZE] = bytes(PAGE_SIZE)
    path.write_bytes(data)


async def fill_with_three(path: Path) -> None:
    store = await SqliteStore.open(path, now=NOW)
    for number in range(3):
        await store.queue.enqueue(accepted(f"M{number}", content=f"content {number} ".encode() * 6000))
    await store.close()


async def damages(store: SqliteStore) -> dict[str, str]:
    return {one.message.queue_id: one.damage for one in await store.queue.claim(NOW, ROOMY)}


async def test_an_unreadable_content_is_set_aside_at_the_start(path: Path) -> None:
    await fill_with_three(path)
    zero_page_of(path, b"content 1 ")
    lines: list[tuple[str, dict[str, object]]] = []
    store = await SqliteStore.open(path, now=NOW, log=lambda line, **fields: lines.append((line, fields)))
    assert lines == [("store.salvaged", {"readable": 2, "unreadable": 1})]
    assert await damages(store) == {"M0": "", "M1": integrity.MISSING, "M2": ""}
    await store.queue.enqueue(accepted("M3", content=b"content 3 " * 6000))
    await store.close()

    zero_page_of(path, b"content 3 ")
    again = await SqliteStore.open(path, now=NOW, log=lambda line, **fields: lines.append((line, fields)))
    assert lines[1:] == [("store.salvaged", {"readable": 2, "unreadable": 2})]
    await again.queue.recover(NOW, 3600.0)
    assert await damages(again) == {"M0": "", "M1": integrity.MISSING, "M2": "", "M3": integrity.MISSING}
    await again.close()

    with closing(sqlite3.connect(path)) as raw:
        names = [name for (name,) in raw.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        assert {"contents", "contents_damaged", "contents_damaged_2"} <= set(names)
    assert survey_sqlite(path).rows["contents"] == 2


async def test_an_unreadable_content_is_left_out_while_running(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "QUICK_CHECK_LIMIT", 0)
    await fill_with_three(path)
    zero_page_of(path, b"content 1 ")
    store = await SqliteStore.open(path, now=NOW)
    claimed = {one.message.queue_id: one for one in await store.queue.claim(NOW, ROOMY)}
    assert {queue_id: one.damage for queue_id, one in claimed.items()} == {
        "M0": "",
        "M1": integrity.UNREADABLE,
        "M2": "",
    }
    assert claimed["M2"].content == b"content 2 " * 6000
    assert await store.queue.content("M1") is None
    await store.queue.apply([hold_damaged(claimed["M1"], NOW), settle(claimed["M2"], State.DELIVERED, NOW)])
    await store.queue.enqueue(accepted("M3"))
    assert await damages(store) == {"M3": ""}
    await store.close()


@pytest.mark.parametrize(
    ("change", "damage"),
    [
        ("UPDATE contents SET content = 'text'", integrity.CHANGED),
        ("UPDATE contents SET digest = 'text'", integrity.CHANGED),
        ("UPDATE entries SET attempts = 'many'", integrity.UNREADABLE_ENTRY),
        ("UPDATE entries SET expires_at = x'00'", integrity.UNREADABLE_ENTRY),
        ("UPDATE messages SET created_at = 'never'", integrity.UNREADABLE_MESSAGE),
        ("UPDATE messages SET added_fields = 'text'", integrity.UNREADABLE_MESSAGE),
        ("UPDATE messages SET reverse_path = CAST(x'ff41' AS TEXT)", integrity.CHANGED),
        ("UPDATE entries SET recipient = CAST(x'ff41' AS TEXT)", integrity.CHANGED_RECIPIENT),
        ("UPDATE messages SET subject = CAST(x'ff41' AS TEXT)", ""),
    ],
)
async def test_values_of_other_types_and_texts_that_are_no_text_concern_their_message(
    path: Path, change: str, damage: str
) -> None:
    store = await SqliteStore.open(path, now=NOW)
    for number in range(2):
        await store.queue.enqueue(accepted(f"M{number}"))
    forget_recent(store)
    await store.database.write(lambda raw: raw.execute(f"{change} WHERE queue_id = 'M1'"))
    try:
        found = await damages(store)
    except StoreError:  # The first query that meets the row.
        found = await damages(store)
    assert found == {"M0": "", "M1": damage}
    with suppress(StoreError):
        await store.reports.stories(MessageQuery())
    assert len(await store.reports.stories(MessageQuery())) == 2
    await store.close()


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


def _old_database(path: Path) -> None:
    schema.prepare(path, existed=False, steps={1: schema.migrations()[1]})
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("CREATE TABLE filling AS SELECT randomblob(300000) AS octets")
        raw.commit()


def test_an_upgrade_without_space_for_its_copy_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    _old_database(path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, limits[1]))
    try:
        with pytest.raises(StoreError, match=r"schema-1: the copy before the new schema cannot be written"):
            schema.take(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.glob("*.part"))
    schema.take(path).release()
