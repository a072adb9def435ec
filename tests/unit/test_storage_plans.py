"""No statement of the hot path may read more rows than it needs: asked of SQLite's query planner."""

import sqlite3
from collections.abc import Iterator

import pytest

from relay.queue.entry import State
from relay.queue.ports import EntryQuery
from relay.reports.ports import MessageQuery
from relay.storage import (
    audit,
    claim,
    claim_source,
    due_lanes,
    event_recipients,
    events,
    integrity,
    message_queries,
    purge,
    queue_writes,
    report_queries,
    rows,
    search_blocks,
    search_sources,
    tallies,
    timelines,
    unsubscribes,
)
from relay.storage.rows import AT_ONCE
from relay.storage.sqlite import ledgers, schema
from relay.storage.sqlite.event_feed import SQLITE_FEED
from relay.suppression.ports import UnsubscribeQuery


@pytest.fixture(scope="module")
def database() -> Iterator[sqlite3.Connection]:
    raw = sqlite3.connect(":memory:", isolation_level=None)
    for sql in schema.migrations().values():
        raw.executescript(sql)
    yield raw
    raw.close()


def plan(raw: sqlite3.Connection, sql: str) -> list[str]:
    """The steps of the plan; parameters are left NULL."""
    places = 1 if "?1" in sql else sql.count("?")
    return [row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {sql}", [None] * places)]


@pytest.mark.parametrize(
    "sql",
    [
        claim_source.DUE,
        integrity.CONTENT,
        claim_source.LEASE,
        claim.RELEASE,
        claim.VOID,
        due_lanes.NEXT_FLOW,
        due_lanes.FIRST_DUE,
        rows.UPDATE_ENTRY,
        queue_writes.DROP_CONTENT,
        event_recipients.recipients_statement(AT_ONCE),
        events.stored_events_statement(AT_ONCE),
        message_queries.ENTRY_AT,
        message_queries.DAMAGED,
        message_queries.ENTRIES_OF,
        timelines.EVENTS_OF,
        timelines.EVENT_PAGE,
        timelines.MESSAGES,
        timelines.ENTRIES,
        timelines.FAILURES,
        timelines.READERS,
        search_blocks.INDEXED,
        search_blocks.UNINDEXED,
        search_blocks.ROWS,
        search_blocks.ENTRIES,
        search_sources.NEWEST,
        search_sources.LABELLED,
        search_sources.FAILED_MESSAGES,
        search_sources.OPEN_ROWS,
        search_sources.OPEN_MESSAGES,
        search_sources.OF_CATEGORY,
        search_sources.LATE,
        search_sources.FAILED_ROWS,
        search_sources.FAILED_AMONG,
        search_sources.LATE_AMONG,
        search_sources.CATEGORY_AMONG,
        search_blocks.blocks_statement(3),
        search_blocks.texts_statement(3, 40),
        tallies.READERS,
        tallies.READ_MESSAGES,
        tallies.sums_statement(0, 1, ("delivered", "bounced:"), ("acme.test",), 300)[0],
        tallies.sums_statement(0, 1, ("delivered", "bounced:"), (), 300)[0],
        tallies.FIND_FINE,
        tallies.DELETE_FINE,
        tallies.DELETE_OLD,
        purge.OLD_MESSAGES,
        purge.OLD_EVENTS,
        *purge.DELETES,
        *audit.BOUNDS,
        audit.MESSAGES,
        audit.ENTRIES,
        audit.CONTENTS,
        audit.EVENTS,
        ledgers.DELETE,
        ledgers.DELETE_OLD,
        unsubscribes.ABOUT,
        unsubscribes.looking_up(3),
        unsubscribes.listing(UnsubscribeQuery(after=("a", "b", "c")))[0],
    ],
)
def test_seeks_and_does_not_scan(database: sqlite3.Connection, sql: str) -> None:
    steps = plan(database, sql)
    assert steps
    derived = ("CONSTANT ROW", "SCAN (subquery", "SCAN ranked", "SCAN counted", "SCAN wanted")
    assert not [step for step in steps if step.startswith("SCAN") and not any(one in step for one in derived)], steps


@pytest.mark.parametrize(
    "sql",
    [
        claim_source.DUE,
        due_lanes.FIRST_DUE,
        due_lanes.NEXT_FLOW,
        search_sources.NEWEST,
        search_sources.LABELLED,
        search_sources.FAILED_MESSAGES,
        search_sources.OF_CATEGORY,
        search_sources.LATE,
        search_blocks.blocks_statement(1),
        purge.OLD_MESSAGES,
        purge.OLD_EVENTS,
        *audit.BOUNDS,
    ],
)
def test_comes_in_order_without_sorting(database: sqlite3.Connection, sql: str) -> None:
    assert not [step for step in plan(database, sql) if "TEMP B-TREE" in step]


def test_a_lane_is_read_from_the_index_of_open_entries(database: sqlite3.Connection) -> None:
    assert plan(database, claim_source.DUE) == [
        "SEARCH entries USING INDEX entries_open (state=? AND lane=? AND principal=? AND priority=?)"
    ]


def test_depth_reads_the_index_of_open_entries_only(database: sqlite3.Connection) -> None:
    for statement in (message_queries.DEPTH, message_queries.DEPTH_BY_TIME, message_queries.OLDEST):
        assert plan(database, statement)[0] == "SEARCH entries USING COVERING INDEX entries_open (state=?)"


def test_operators_find_entries_of_a_lane_in_the_index_alone(database: sqlite3.Connection) -> None:
    sql, _ = message_queries.keys_statement(EntryQuery(lane="mx:a.test", states=(State.WAITING, State.HELD)))
    assert "SEARCH entries USING COVERING INDEX entries_open (state=? AND lane=?)" in plan(database, sql)


@pytest.mark.parametrize(
    "query",
    [
        MessageQuery(queue_id="A"),
        MessageQuery(message_id="<a@b>"),
        MessageQuery(recipient="a@b.test"),
        MessageQuery(tags=("t",)),
        MessageQuery(metadata={"invoice": "1"}),
        MessageQuery(since=1.0, domain="acme.test"),
    ],
)
def test_messages_are_found_by_an_index(database: sqlite3.Connection, query: MessageQuery) -> None:
    sql, _ = message_queries.messages_statement(query)
    assert not [step for step in plan(database, sql) if step.startswith("SCAN")]


@pytest.mark.parametrize(
    "query",
    [
        MessageQuery(since=1.0),
        MessageQuery(since=1.0, campaign_name="spring", domain="acme.test"),
        MessageQuery(since=1.0, tags=("t",)),
    ],
)
def test_engagement_is_counted_by_indexes(database: sqlite3.Connection, query: MessageQuery) -> None:
    for statement in (
        report_queries.delivered_statement,
        report_queries.engaged_statement,
        report_queries.clicks_statement,
    ):
        steps = plan(database, statement(query)[0])
        assert not [step for step in steps if step.startswith("SCAN") and step != "SCAN readers"], steps


@pytest.mark.parametrize("name", ["page", "one", "of_message", "behind"])
def test_the_feed_seeks_events_by_id_and_messages_by_their_key(database: sqlite3.Connection, name: str) -> None:
    sql = getattr(SQLITE_FEED, name)
    places = 3 if "?3" in sql else 2 if "?2" in sql else 1
    steps = [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {sql}", [None] * places)]
    assert not [step for step in steps if step.startswith("SCAN") and "ahead" not in step], steps


def test_counts_of_a_domain_are_found_among_those_of_all_domains(database: sqlite3.Connection) -> None:
    sql = tallies.sums_statement(0, 1, ("delivered", "bounced:"), ("acme.test",), 300)[0]
    (step,) = [one for one in plan(database, sql) if one.startswith("SEARCH")]
    assert "(domain=? AND kind=? AND at>? AND at<?)" in step
