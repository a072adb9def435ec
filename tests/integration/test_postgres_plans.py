"""No statement of the hot path may read a table of PostgreSQL from end to end: asked of its planner, over many rows."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from relay.queue.entry import State
from relay.queue.ports import EntryQuery
from relay.reports.ports import MessageQuery
from relay.storage import lanes, office, queries, rows, transactions
from relay.storage.pg import leases, ledgers, partitions, schema
from relay.storage.pg.link import SEEKING, PostgresSession, connect
from tests.contract.values import NOW
from tests.servers.postgres import drop_schema, fresh_schema

ROWS = 30_000
LANES = 2_000
IDS = [f"Q{number:09}" for number in range(100)]
NUMBERS = [0] * len(IDS)
SOME_LANES = [f"mx:{number}.test" for number in range(100)]

EVENTS = partitions.name(int(NOW // partitions.WEEK))

FILL = (
    f"""INSERT INTO messages SELECT 'Q' || lpad(n::text, 9, '0'), {NOW} + n, '', 'acme.test', '', '', '', false, '', '',
        100, '<' || n || '@x>', '', '', '', '', '', '', '' FROM generate_series(1, {ROWS}) n""",
    f"INSERT INTO contents SELECT 'Q' || lpad(n::text, 9, '0'), 'x' FROM generate_series(1, {ROWS}) n",
    f"""INSERT INTO entries SELECT 'Q' || lpad(n::text, 9, '0'), 0, '', 'mx:' || n % {LANES} || '.test', {NOW}, 0,
        {NOW} + n % 5000, 0, CASE WHEN n % 10 = 0 THEN 'delivered' WHEN n % 1000 = 1 THEN 'active' ELSE 'waiting' END,
        0, '', '', NULL, '', '', false, false, 'u' || n || '@x.test', '', 0 FROM generate_series(1, {ROWS}) n""",
    f"""INSERT INTO events (at, kind, queue_id, number, address, data)
        SELECT {NOW} + n, CASE WHEN n % 50 = 0 THEN 'bounced' ELSE 'created' END, 'Q' || lpad(n::text, 9, '0'), 0,
        '', '' FROM generate_series(1, {ROWS}) n""",
    f"""INSERT INTO slots SELECT 'Q' || lpad(n::text, 9, '0'), 0, 'identity:' || n % 5000, {NOW} + n, 0, n, ''
        FROM generate_series(1, {ROWS}) n""",
    "INSERT INTO ledgers SELECT 'identity:' || n, 0 FROM generate_series(0, 4999) n",
    f"""INSERT INTO labels SELECT '', 'tag' || n % 5000, 'Q' || lpad(n::text, 9, '0')
        FROM generate_series(1, {ROWS}) n""",
    "VACUUM (ANALYZE)",
)


@pytest.fixture(scope="module")
def session(postgres_server: str) -> Iterator[PostgresSession]:
    url = fresh_schema(postgres_server)
    schema.prepare(url)
    raw = connect(url)
    made = PostgresSession(raw)
    with raw.transaction():
        partitions.make_ahead(NOW)(made)
    for sql in FILL:
        raw.execute(sql.encode())
    yield made
    raw.close()
    drop_schema(url)


def plan(session: PostgresSession, sql: str, values: Sequence[Any]) -> list[dict[str, Any]]:
    """The nodes of the plan."""
    (found,) = session.execute(f"EXPLAIN (FORMAT JSON) {sql}", values).fetchone()
    nodes: list[dict[str, Any]] = []
    left = [one["Plan"] for one in (json.loads(found) if isinstance(found, str) else found)]
    while left:
        nodes.append(left.pop())
        left += nodes[-1].get("Plans", ())
    return nodes


def scanned(nodes: list[dict[str, Any]]) -> set[str]:
    """The tables read from end to end; the parts of events without rows and the few nodes do not count."""
    full = {
        "messages",
        "contents",
        "entries",
        "slots",
        "labels",
        "ledgers",
        partitions.name(int(NOW // partitions.WEEK)),
    }
    return {node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"} & full


HOT = {
    "due": (leases.DUE, (SOME_LANES, [6] * len(SOME_LANES))),
    "companions": (leases.COMPANIONS, (IDS[1], "mx:1.test", NOW, 100)),
    "contents": (leases.CONTENTS, (IDS,)),
    "take": (leases.TAKE, ("lease", 1, IDS, NUMBERS)),
    "held": (leases.HELD, (IDS, NUMBERS, ["lease"] * len(IDS), NUMBERS)),
    "give back": (leases.GIVE_BACK, (IDS, NUMBERS, ["lease"] * len(IDS), NUMBERS)),
    "lock": (leases.LOCK, (IDS, NUMBERS)),
    "void": (leases.VOID, ()),
    "disown": (leases.DISOWN, ("lease", [1, 2])),
    "left": (leases.LEFT, ("node", IDS[1], 0)),
    "lanes": (leases.LANES, ()),
    "first due": (lanes.FIRST_DUE, ("mx:1.test",)),
    "update": (rows.UPDATE_ENTRY, ("mx:1.test", 0.0, 0.0, 0.0, "waiting", 0, None, "", "", False, False, IDS[1], 0)),
    "drop content": (transactions.DROP_CONTENT, (IDS[1],)),
    "recipient": (transactions.FIND_RECIPIENT, (IDS[1], 0)),
    "keys of": (ledgers.KEYS_OF, (IDS, NUMBERS)),
    "ledger": (ledgers.LOCK, (["identity:1", "identity:2"],)),
    "changed": (ledgers.CHANGED, (["identity:1", "identity:2"], [ROWS - 500, ROWS - 10])),
    "orphans": (ledgers.ORPHANS, (NOW + ROWS - 100, "node")),
    "old places": (ledgers.DELETE_OLD, (NOW + 100,)),
    "entry": (queries.ENTRY_AT, (IDS[1], 0)),
    "entries of": (queries.ENTRIES_OF, (IDS[1],)),
    "events of": (queries.EVENTS_OF, (IDS[1],)),
    "old messages": (office.OLD_MESSAGES, (0.0, "", NOW + 100)),
}


@pytest.mark.parametrize("name", HOT)
def test_seeks_and_does_not_scan(session: PostgresSession, name: str) -> None:
    """With the settings of the connections these statements run on."""
    with session.raw.transaction():
        session.raw.execute(f"SET LOCAL {SEEKING.removeprefix('SET ')}".encode())
        nodes = plan(session, *HOT[name])
    assert scanned(nodes) == set(), nodes
    of_open = [node for node in nodes if node.get("Index Name") == "entries_open"]
    assert all("state" in node["Index Cond"] for node in of_open), "the index on open entries is read from end to end"


@pytest.mark.parametrize("name", ["due", "lanes", "first due", "old messages"])
def test_comes_in_order_without_sorting(session: PostgresSession, name: str) -> None:
    assert "Sort" not in {node["Node Type"] for node in plan(session, *HOT[name])}


@pytest.mark.parametrize(
    "query",
    [
        MessageQuery(queue_id=IDS[1]),
        MessageQuery(message_id="<5@x>"),
        MessageQuery(recipient="u5@x.test"),
        MessageQuery(tags=("tag5",)),
        MessageQuery(since=NOW + ROWS - 100, domain="acme.test"),
    ],
)
def test_messages_are_found_by_an_index(session: PostgresSession, query: MessageQuery) -> None:
    assert scanned(plan(session, *queries.messages_statement(query))) == set()


def test_operators_find_the_entries_of_a_lane_by_an_index(session: PostgresSession) -> None:
    query = EntryQuery(lane="mx:1.test", states=(State.WAITING, State.HELD))
    assert scanned(plan(session, *queries.keys_statement(query))) == set()
