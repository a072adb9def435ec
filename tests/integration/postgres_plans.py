"""A PostgreSQL full of rows, the statements that must not read its tables end to end, and what it plans for them."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from relay.events.event import Kind
from relay.queue.entry import State
from relay.queue.ports import EntryQuery
from relay.reports.ports import MessageQuery
from relay.storage import (
    audit,
    due_lanes,
    event_recipients,
    message_queries,
    purge,
    queue_writes,
    report_queries,
    rows,
    search_blocks,
    search_sources,
    tallies,
    timelines,
)
from relay.storage.database import Connection, Rows
from relay.storage.postgres import claim_source, leases, ledgers, partitions, schema
from relay.storage.postgres.connection import SEEKING, PostgresSession, Target, connect
from relay.storage.postgres.leases import FLOWS
from tests.contract.values import NOW
from tests.servers.postgres import drop_schema, fresh_schema

Statement = tuple[str, Sequence[Any]]

IDS = [f"Q{number:09}" for number in range(100)]

NUMBERS = [0] * len(IDS)

SOME_LANES = [f"mx:{number}.test" for number in range(100)]

BIG = {
    "messages",
    "contents",
    "entries",
    "slots",
    "labels",
    "ledgers",
    "search_blocks",
    "tallies",
    partitions.name(int(NOW // partitions.WEEK)),
}
"""The tables with many rows; the parts of events without rows and the few nodes are read as a whole by right."""


def filling(count: int, of_lanes: int) -> Iterator[str]:
    """Yield the statements that make so many messages with an entry each; nine of ten wait, in so many lanes."""
    series = f"generate_series(1, {count}) n"
    queue_id = "'Q' || lpad(n::text, 9, '0')"
    yield f"""INSERT INTO messages SELECT {queue_id}, {NOW} + n, '', 'acme.test', '', '', '', false, '', '',
        100, '<' || n || '@x>', '', '', '', '', '', '', '' FROM {series}"""
    yield f"INSERT INTO contents SELECT {queue_id}, 'x' FROM {series}"
    yield f"""INSERT INTO entries SELECT {queue_id}, 0, '', 'mx:' || n % {of_lanes} || '.test', {NOW}, 0,
        {NOW} + n % 5000, 0, CASE WHEN n % 10 = 0 THEN 'delivered' WHEN n % 1000 = 1 THEN 'active' ELSE 'waiting' END,
        0, '', '', NULL, '', '', false, false, 'u' || n || '@x.test', '', 0, '', 1 FROM {series}"""
    yield f"""INSERT INTO events (at, kind, queue_id, number, address, data)
        SELECT {NOW} + n % 500000, CASE WHEN n % 50 = 0 THEN 'bounced' ELSE 'created' END, {queue_id}, 0,
        '', CASE WHEN n % 50 = 0 THEN '{{"category":"blocked"}}' ELSE '' END FROM {series}"""
    yield f"""INSERT INTO search_blocks
        SELECT 'w:' || n % 100, 'Q' || lpad((n / 100 * 250)::text, 9, '0'), repeat('Q', 99) FROM {series}"""
    yield f"INSERT INTO tallies SELECT {NOW} + n / 100 * 300, 'kind' || n % 20, 'd' || n / 20 % 5, 1 FROM {series}"
    yield f"INSERT INTO slots SELECT {queue_id}, 0, 'identity:' || n % 5000, {NOW} + n, 0, n, '' FROM {series}"
    yield "INSERT INTO ledgers SELECT 'identity:' || n, 0 FROM generate_series(0, 4999) n"
    yield f"INSERT INTO labels SELECT '', 'tag' || n % 5000, {queue_id} FROM {series}"
    yield "VACUUM (ANALYZE)"


@contextmanager
def filled(server: str, count: int, of_lanes: int) -> Iterator[PostgresSession]:
    """Give a connection to a schema with so many rows."""
    url = fresh_schema(server)
    schema.prepare(Target(url))
    raw = connect(Target(url))
    try:
        made = PostgresSession(raw)
        with raw.transaction():
            partitions.make_ahead(NOW)(made)
        for sql in filling(count, of_lanes):
            raw.execute(sql.encode())
        yield made
    finally:
        raw.close()
        drop_schema(url)


def hot(count: int) -> dict[str, Statement]:
    """The statements of the connections that seek, over so many rows."""
    return {
        "due": (claim_source.DUE, (SOME_LANES, [""] * 100, [1] * 100, [6] * 100)),
        "companions": (claim_source.COMPANIONS, (IDS[1], "mx:1.test", NOW, 100)),
        "contents": (claim_source.CONTENTS, (IDS, IDS)),
        "take": (claim_source.TAKE, ("lease", 1, IDS, NUMBERS)),
        "held": (leases.HELD, (IDS, NUMBERS, ["lease"] * len(IDS), NUMBERS)),
        "as settled": (leases.AS_SETTLED, (IDS, NUMBERS, NUMBERS)),
        "give back": (leases.GIVE_BACK, (IDS, NUMBERS, ["lease"] * len(IDS), NUMBERS)),
        "lock": (leases.LOCK, (IDS, NUMBERS)),
        "lock contents": (leases.LOCK_CONTENTS, (IDS,)),
        "void": (leases.VOID, ()),
        "return_lost": (leases.RETURN_LOST, ("lease", [1, 2])),
        "left": (leases.LEFT, ("node", IDS[1], 0)),
        "flows": (FLOWS, ()),
        "first due": (due_lanes.FIRST_DUE, ("mx:1.test", "", 1)),
        "update": (
            rows.UPDATE_ENTRY,
            ("mx:1.test", 0.0, 0.0, 0.0, "waiting", 0, None, "", "", False, False, IDS[1], 0),
        ),
        "drop content": (queue_writes.DROP_CONTENT, (IDS[1],)),
        "recipients": (
            event_recipients.recipients_statement(len(IDS)),
            [*chain.from_iterable(zip(NUMBERS, IDS, NUMBERS, strict=True))],
        ),
        "keys of": (ledgers.KEYS_OF, (IDS, NUMBERS)),
        "ledger": (ledgers.LOCK, (["identity:1", "identity:2"],)),
        "changed": (ledgers.CHANGED, (["identity:1", "identity:2"], [count - 500, count - 10])),
        "orphans": (ledgers.ORPHANS, (NOW + count - 100, "node")),
        "old places": (ledgers.DELETE_OLD, (NOW + 100,)),
        "entry": (message_queries.ENTRY_AT, (IDS[1], 0)),
        "entries of": (message_queries.ENTRIES_OF, (IDS[1],)),
        "events of": (timelines.EVENTS_OF, (IDS[1],)),
        "page of events": (timelines.EVENT_PAGE, (IDS[1], NOW, 0, 1000)),
        "old messages": (purge.OLD_MESSAGES, (0.0, "", NOW + 100)),
        "depth": (message_queries.DEPTH, ()),
        "depth by time": (message_queries.DEPTH_BY_TIME, (NOW, NOW, NOW)),
        "oldest": (message_queries.OLDEST, ()),
    }


COUNTING = ("depth", "depth by time")
"""Statements that count the queue for its metrics: they read the index on open entries from end to end."""


def asked(count: int) -> dict[str, Statement]:
    """What operators and reports ask, on the connections where the planner has its own way.

    Open entries are read together only where they are few; of these rows nearly all are open.
    """
    lately = MessageQuery(since=NOW + count - 100, domain="acme.test")
    failed = (Kind.BOUNCED, Kind.DEFERRED)
    step = (IDS[1], IDS[50])
    return {
        **{f"audit, bounds {number}": (sql, (IDS[1],)) for number, sql in enumerate(audit.BOUNDS)},
        "audit, messages": (audit.MESSAGES, step),
        "audit, entries": (audit.ENTRIES, step),
        "audit, contents": (audit.CONTENTS, step),
        "audit, events": (audit.EVENTS, step),
        "trace, queue id": message_queries.messages_statement(MessageQuery(queue_id=IDS[1])),
        "trace, Message-ID": message_queries.messages_statement(MessageQuery(message_id="<5@x>")),
        "trace, address": message_queries.messages_statement(MessageQuery(recipient="u5@x.test")),
        "trace, tag": message_queries.messages_statement(MessageQuery(tags=("tag5",))),
        "messages, lately": message_queries.messages_statement(lately),
        "deliveries, lately": statement_of(report_queries.tallies(lately)),
        "deliveries, tag": statement_of(report_queries.tallies(MessageQuery(tags=("tag5",)))),
        "bounces, lately": statement_of(report_queries.failures(lately, failed, "", None)),
        "bounces, all": statement_of(report_queries.failures(MessageQuery(), failed, "", None)),
        "bounces by server, lately": statement_of(report_queries.remotes(lately)),
        "search, newest": (search_sources.NEWEST, ("", search_blocks.LAST, 250)),
        "search, label": (search_sources.LABELLED, ("", "tag5", "", search_blocks.LAST, 250)),
        "search, bounced": (search_sources.FAILED_MESSAGES, ("bounced", "", search_blocks.LAST, 250)),
        "search, category": (search_sources.OF_CATEGORY, ("blocked", "", search_blocks.LAST, 250)),
        "search, late": (search_sources.LATE, ("", search_blocks.LAST, 250)),
        "search, late among": (search_sources.LATE_AMONG, IDS),
        "search, few failed": (search_sources.FAILED_ROWS, ("dropped", "", search_blocks.LAST, 1001)),
        "search, failed among": (search_sources.FAILED_AMONG, ("bounced", *IDS)),
        "search, category among": (search_sources.CATEGORY_AMONG, ("blocked", *IDS)),
        "search, messages": (search_blocks.ROWS, IDS),
        "search, entries": (search_blocks.ENTRIES, IDS),
        "search, blocks": (search_blocks.blocks_statement(2), ("w:1", "w:2", search_blocks.LAST, "", 80)),
        "search, other blocks": (search_blocks.texts_statement(1, 100), ("w:3", *IDS)),
        "tallies of a domain": tallies.sums_statement(0, NOW, ("kind1",), ("d1",), 300),
        "queue, lane": message_queries.keys_statement(EntryQuery(lane="mx:1.test", states=(State.WAITING, State.HELD))),
        "queue, address": message_queries.keys_statement(EntryQuery(recipient="u5@x.test")),
    }


@dataclass
class _Recorder:
    """A connection that only listens."""

    said: list[Statement] = field(default_factory=list)

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Rows:
        self.said.append((sql, parameters))
        return _Nothing()

    def executemany(self, sql: str, parameters: Any, /) -> Rows:
        raise AssertionError(f"nothing is changed by reading: {sql}")


class _Nothing:
    rowcount = 0

    def fetchone(self) -> Any:
        return None

    def fetchall(self) -> list[Any]:
        return []

    def __iter__(self) -> Iterator[Any]:
        return iter(())


def statement_of(operation: Callable[[Connection], Any]) -> Statement:
    """Return the first statement of an operation that reads."""
    recorder = _Recorder()
    operation(recorder)
    return recorder.said[0]


@dataclass(frozen=True)
class Plan:
    """The nodes of a plan; milliseconds and pages when it was also carried out."""

    nodes: list[dict[str, Any]]
    milliseconds: float = 0.0
    pages: int = 0

    @property
    def scanned(self) -> set[str]:
        """The big tables read from end to end."""
        return {node["Relation Name"] for node in self.nodes if node["Node Type"] == "Seq Scan"} & BIG

    @property
    def through_open(self) -> bool:
        """Whether the index on open entries is read from end to end."""
        of_open = [node for node in self.nodes if node.get("Index Name") == "entries_open"]
        return not all("state" in node.get("Index Cond", "") for node in of_open)


def plan(session: PostgresSession, statement: Statement, *, seeking: bool, carry_out: bool = False) -> Plan:
    """Return what is planned; carried out, nothing of it stays."""
    sql, values = statement
    with session.raw.transaction(force_rollback=True):
        if seeking:
            session.raw.execute(f"SET LOCAL {SEEKING.removeprefix('SET ')}".encode())
        options = "ANALYZE, BUFFERS, FORMAT JSON" if carry_out else "FORMAT JSON"
        (found,) = session.execute(f"EXPLAIN ({options}) {sql}", values).fetchone()
    (top,) = json.loads(found) if isinstance(found, str) else found
    nodes: list[dict[str, Any]] = []
    left = [top["Plan"]]
    while left:
        nodes.append(left.pop())
        left += nodes[-1].get("Plans", ())
    pages = sum(top["Plan"].get(key, 0) for key in ("Shared Hit Blocks", "Shared Read Blocks"))
    return Plan(nodes, top.get("Execution Time", 0.0), pages)
