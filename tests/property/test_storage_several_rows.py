"""Some rows in one statement have the effect of one statement for each row."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.content_file import LARGE
from relay.storage.content_pieces import SMALL, insert_contents
from relay.storage.several_rows import MAX_ROWS, change_rows, insert_rows, statement_for

INSERT = "INSERT INTO things (key, number, value) VALUES (?, ?, ?)"
UPDATE = "UPDATE things SET value = ? WHERE key = ? AND number = ? AND value != x'00'"
UPDATE_SEVERAL = (
    "UPDATE things SET value = new.column1 FROM (VALUES {rows}) AS new "
    "WHERE key = new.column2 AND number = new.column3 AND value != x'00'"
)
DELETE = "DELETE FROM things WHERE key = ?"
DELETE_SEVERAL = "DELETE FROM things WHERE key IN (VALUES {rows})"

keys = st.dictionaries(
    st.tuples(st.text("abcÄ", max_size=3), st.integers(0, 9)), st.binary(max_size=3), max_size=3 * MAX_ROWS
)


@pytest.fixture
def open_table() -> Iterator[Callable[[], sqlite3.Connection]]:
    opened: list[sqlite3.Connection] = []

    def open_one() -> sqlite3.Connection:
        raw = sqlite3.connect(":memory:", isolation_level=None)
        raw.execute("CREATE TABLE things (key TEXT, number INTEGER, value BLOB, PRIMARY KEY (key, number))")
        opened.append(raw)
        return raw

    yield open_one
    for raw in opened:
        raw.close()


def rows_of(raw: sqlite3.Connection) -> list[tuple[object, ...]]:
    return raw.execute("SELECT key, number, value FROM things ORDER BY key, number").fetchall()


@given(keys, keys, st.sets(st.text("abcÄ", max_size=3)))
def test_the_effect_is_that_of_single_statements(
    stored: dict[tuple[str, int], bytes], changed: dict[tuple[str, int], bytes], dropped: set[str]
) -> None:
    with closing(sqlite3.connect(":memory:")) as one, closing(sqlite3.connect(":memory:")) as several:
        for raw in (one, several):
            raw.execute("CREATE TABLE things (key TEXT, number INTEGER, value BLOB, PRIMARY KEY (key, number))")
        rows = [(*key, value) for key, value in stored.items()]
        one.executemany(INSERT, rows)
        insert_rows(several, INSERT, rows)
        assert rows_of(several) == rows_of(one)

        updates = [(value, *key) for key, value in changed.items()]
        counted = one.executemany(UPDATE, updates).rowcount if updates else 0
        assert change_rows(several, UPDATE, UPDATE_SEVERAL, updates) == counted
        assert rows_of(several) == rows_of(one)

        deletions = [(key,) for key in sorted(dropped)]
        counted = one.executemany(DELETE, deletions).rowcount if deletions else 0
        assert change_rows(several, DELETE, DELETE_SEVERAL, deletions) == counted
        assert rows_of(several) == rows_of(one)


def test_a_row_that_is_refused_raises_as_by_itself(open_table: Callable[[], sqlite3.Connection]) -> None:
    raw = open_table()
    with pytest.raises(sqlite3.IntegrityError):
        insert_rows(raw, INSERT, [("a", 1, b""), ("b", 1, b""), ("a", 1, b"")])


@pytest.mark.parametrize("number", [1, 2, 3, 64, 65, 200])
def test_few_statements_are_prepared(open_table: Callable[[], sqlite3.Connection], number: int) -> None:
    raw = open_table()
    seen: list[str] = []
    raw.set_trace_callback(seen.append)
    insert_rows(raw, INSERT, [("a", at, b"") for at in range(number)])
    assert sum(statement.startswith("INSERT") for statement in seen) <= number // MAX_ROWS + MAX_ROWS.bit_length() - 1
    assert len(rows_of(raw)) == number


def test_the_statement_has_a_place_for_each_value() -> None:
    assert statement_for(DELETE_SEVERAL, 2, 1) == "DELETE FROM things WHERE key IN (VALUES (?), (?))"
    assert "(VALUES (?, ?, ?), (?, ?, ?))" in statement_for(UPDATE_SEVERAL, 2, 3)


def test_only_small_contents_are_in_one_statement() -> None:
    with closing(sqlite3.connect(":memory:")) as raw:
        raw.execute("CREATE TABLE contents (queue_id TEXT, content BLOB, digest BLOB)")
        rows = [
            (f"{place}", bytes(size), b"") for place, size in enumerate([SMALL, SMALL, SMALL + 1, LARGE, LARGE + 1])
        ]
        statements: list[str] = []
        raw.set_trace_callback(statements.append)
        insert_contents(raw, rows)
        raw.set_trace_callback(None)
        inserted = [one for one in statements if one.startswith("INSERT")]
        assert sorted(one.count("), (") for one in inserted) == [0, 0, 0, 1]
        assert raw.execute("SELECT * FROM contents ORDER BY queue_id").fetchall() == rows
