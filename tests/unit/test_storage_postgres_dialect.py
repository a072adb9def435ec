"""The shared SQL as PostgreSQL wants it, and what its errors mean."""

import psycopg
import pytest

from relay.events.ports import StoreError
from relay.storage.errors import AwayError
from relay.storage.postgres.connection import translated, with_password
from relay.storage.postgres.errors import is_away, store_error


@pytest.mark.parametrize(
    ("shared", "own"),
    [
        ("SELECT 1", "SELECT 1"),
        ("SELECT a FROM t WHERE b = ? AND c IN (?, ?)", "SELECT a FROM t WHERE b = $1 AND c IN ($2, $3)"),
        ("DELETE FROM t WHERE a = ?1 OR b = ?2 OR c = ?1", "DELETE FROM t WHERE a = $1 OR b = $2 OR c = $1"),
        ("SELECT instr(a, 'b') FROM t", "SELECT strpos(a, 'b') FROM t"),
        ("SELECT a FROM t INDEXED BY t_by_b WHERE b = ?", "SELECT a FROM t WHERE b = $1"),
    ],
)
def test_placeholders_and_hints_are_translated(shared: str, own: str) -> None:
    assert translated(shared) == own


@pytest.mark.parametrize(
    ("error", "away", "full"),
    [
        (psycopg.OperationalError("connection refused"), True, False),
        (psycopg.errors.AdminShutdown("terminating connection"), True, False),
        (psycopg.errors.DiskFull("could not extend file"), True, True),
        (psycopg.errors.ReadOnlySqlTransaction("cannot execute INSERT"), True, False),
        (psycopg.errors.UniqueViolation("duplicate key"), False, False),
        (psycopg.errors.DeadlockDetected("deadlock detected"), False, False),
        (psycopg.errors.PipelineAborted("pipeline aborted"), False, False),
        (UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates not allowed"), False, False),
    ],
)
def test_errors_are_told_apart_by_their_cause(error: Exception, away: bool, full: bool) -> None:
    assert is_away(error) is away
    told = store_error(error)
    assert isinstance(told, AwayError) is away
    assert told.full is full
    assert str(told).startswith("PostgreSQL: ")
    assert "\n" not in str(told)


def test_a_password_is_added_where_there_is_none() -> None:
    url = "postgresql://u@h/d"
    assert with_password(url, "") == url
    assert psycopg.conninfo.conninfo_to_dict(with_password(url, "s 'x"))["password"] == "s 'x"
    assert with_password("postgresql://u:own@h/d", "other") == "postgresql://u:own@h/d"
    with pytest.raises(StoreError, match=r"^storage\.url: "):
        with_password("postgresql://u@h/d?nonsense=1", "x")
