"""No statement of the hot path may read a table of PostgreSQL from end to end: asked of its planner, over many rows."""

from collections.abc import Iterator

import pytest

from relay.storage.postgres.connection import PostgresSession
from tests.integration.postgres_plans import COUNTING, asked, filled, hot, plan

ROWS = 30_000
"""`make nodes` asks the same over a million."""

HOT = hot(ROWS)

ASKED = asked(ROWS)


@pytest.fixture(scope="module")
def session(postgres_server: str) -> Iterator[PostgresSession]:
    with filled(postgres_server, ROWS, 2000) as made:
        yield made


@pytest.mark.parametrize("name", HOT)
def test_seeks_and_does_not_scan(session: PostgresSession, name: str) -> None:
    """With the settings of the connections these statements run on."""
    found = plan(session, HOT[name], seeking=True)
    assert found.scanned == set(), found
    assert name in COUNTING or not found.through_open, "the index on open entries is read from end to end"


def test_depth_is_answered_by_the_index_alone(session: PostgresSession) -> None:
    kinds = {node["Node Type"] for node in plan(session, HOT["depth"], seeking=True).nodes}
    assert "Index Only Scan" in kinds
    assert "Sort" not in kinds


@pytest.mark.parametrize("name", ["due", "flows", "first due", "old messages"])
def test_comes_in_order_without_sorting(session: PostgresSession, name: str) -> None:
    assert "Sort" not in {node["Node Type"] for node in plan(session, HOT[name], seeking=False).nodes}


@pytest.mark.parametrize("name", ASKED)
def test_operators_and_reports_find_by_an_index(session: PostgresSession, name: str) -> None:
    found = plan(session, ASKED[name], seeking=False)
    assert found.scanned == set(), found
