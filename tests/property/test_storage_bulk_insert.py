"""Some rows in one statement are inserted as by one statement for each row."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.content_file import LARGE
from relay.storage.bulk_insert import MAX_ROWS, batched, insert_rows, insertion_of
from relay.storage.content_pieces import SMALL, insert_contents

INSERT = "INSERT INTO things (key, number, value) VALUES (?, ?, ?)"

things = st.dictionaries(
    st.tuples(st.text("abcÄ", max_size=3), st.integers(0, 9)), st.binary(max_size=3), max_size=3 * MAX_ROWS
)


def table() -> sqlite3.Connection:
    raw = sqlite3.connect(":memory:", isolation_level=None)
    raw.execute("CREATE TABLE things (key TEXT, number INTEGER, value BLOB, PRIMARY KEY (key, number))")
    return raw


@pytest.fixture
def raw() -> Iterator[sqlite3.Connection]:
    with closing(table()) as opened:
        yield opened


@given(things)
def test_all_rows_are_inserted_in_their_order(stored: dict[tuple[str, int], bytes]) -> None:
    with closing(table()) as raw:
        rows = [(*key, value) for key, value in stored.items()]
        insert_rows(raw, INSERT, rows)
        assert raw.execute("SELECT key, number, value FROM things ORDER BY rowid").fetchall() == rows


def test_a_row_that_is_refused_raises_as_by_itself(raw: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        insert_rows(raw, INSERT, [("a", 1, b""), ("b", 1, b""), ("a", 1, b"")])


@pytest.mark.parametrize("number", [0, 1, 2, 3, 64, 65, 200])
def test_few_statements_are_prepared(raw: sqlite3.Connection, number: int) -> None:
    seen: list[str] = []
    raw.set_trace_callback(seen.append)
    insert_rows(raw, INSERT, [("a", at, b"") for at in range(number)])
    assert sum(statement.startswith("INSERT") for statement in seen) <= number // MAX_ROWS + MAX_ROWS.bit_length() - 1
    assert raw.execute("SELECT count(*) FROM things").fetchone() == (number,)


def test_the_parts_are_powers_of_two() -> None:
    assert [len(some) for some in batched([()] * 205)] == [64, 64, 64, 8, 4, 1]
    assert [len(some) for some in batched([()] * 205, 100)] == [100, 100, 4, 1]


def test_the_statement_has_a_place_for_each_value() -> None:
    assert insertion_of(INSERT, 2).endswith(" VALUES (?, ?, ?), (?, ?, ?)")


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
