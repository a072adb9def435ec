"""Tallies of events by span, kind and sending domain: SQL and its values."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from relay.reports.tallies import (
    ALL_KINDS,
    CAMPAIGN,
    FOLDED,
    HOUR,
    SPAN,
    Reach,
    ReaderAction,
    ReadMessage,
    TallyKey,
    TallySum,
    every_kind,
    reach_of,
    stronger,
)
from relay.storage.database import Connection, Database
from relay.storage.json_columns import decode_object

_ADD = (
    "INSERT INTO tallies (at, kind, domain, count) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (at, kind, domain) DO UPDATE SET count = tallies.count + excluded.count"
)

_IDENTITY = "domain LIKE '%@%'"

_FINE = f"kind = ? AND at >= ? AND at < ? AND at % {HOUR} != 0"

_FOLDED = (
    f"SELECT at / {HOUR} * {HOUR}, kind, domain, CAST(sum(count) AS BIGINT) FROM tallies WHERE {_FINE} GROUP BY 1, 2, 3"  # noqa: S608
)

_DELETE_FINE = f"DELETE FROM tallies WHERE {_FINE}"  # noqa: S608  names only

_DOMAINS = (
    "SELECT domain, CAST(sum(count) AS BIGINT) FROM tallies "  # noqa: S608  names only
    f"WHERE at >= ? AND kind IN ('delivered', 'delivered{CAMPAIGN}') AND NOT {_IDENTITY} AND domain != '' "
    "GROUP BY domain ORDER BY 2 DESC, 1"
)

_AT_ONCE = 100
"""Messages of one statement."""

_PLACES = ", ".join("?" * _AT_ONCE)

READ_MESSAGES = f"SELECT queue_id, domain, campaign FROM messages WHERE origin = '' AND queue_id IN ({_PLACES})"  # noqa: S608

READERS = (
    "SELECT queue_id, number, kind, at, data FROM events "  # noqa: S608  places only
    f"WHERE queue_id IN ({_PLACES}) AND kind IN ('created', 'open', 'click')"
)


class TallyTable:
    """Implements TallyStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, counts: Mapping[TallyKey, int]) -> None:
        """Add the counts to those in the store."""
        # In one order, so that two nodes that add to the same rows do not wait for each other in a circle.
        rows = [(key.at, key.kind, key.domain, count) for key, count in sorted(counts.items()) if count]
        await self._database.write(lambda raw: raw.executemany(_ADD, rows).rowcount)

    async def sums(
        self, since: float, until: float, kinds: Sequence[str], domain: str = "", span: int = SPAN
    ) -> Sequence[TallySum]:
        """Return the sums by kind and multiples of `span` seconds, in order of time."""
        sql, values = sums_statement(since, until, kinds, domain, span)
        return await self._database.read(lambda raw: [TallySum(*row) for row in raw.execute(sql, values)])

    async def domains(self, since: float) -> Sequence[tuple[str, int]]:
        """Return the sending domains with their deliveries since that time, the busiest first."""
        return await self._database.read(lambda raw: raw.execute(_DOMAINS, (int(since),)).fetchall())

    async def read_messages(self, actions: Sequence[ReaderAction]) -> Mapping[str, ReadMessage]:
        """Return what is known of the messages of users that these actions are about, by queue id."""
        return await self._database.read(_read_messages(actions))

    async def fold(self, before: float) -> int:
        """Add up the counts of five minutes from before that time by the hour; return the number of rows that ended."""
        return await self._database.write(_fold(int(before // HOUR) * HOUR))


def sums_statement(
    since: float, until: float, kinds: Sequence[str], domain: str, span: int
) -> tuple[str, list[object]]:
    """Return the statement for the sums, and its values."""
    names = every_kind(kinds)
    of = "domain = ?" if domain else f"NOT {_IDENTITY}"
    sql = (
        f"SELECT at / {span:d} * {span:d}, kind, CAST(sum(count) AS BIGINT) FROM tallies "  # noqa: S608  values bound
        f"WHERE kind IN ({', '.join('?' * len(names))}) AND at >= ? AND at < ? AND {of} GROUP BY 1, 2 ORDER BY 1, 2"
    )
    return sql, [*names, int(since), int(until), *([domain] if domain else [])]


def _fold(before: int) -> Callable[[Connection], int]:
    def operation(raw: Connection) -> int:
        ended = 0
        for kind in every_kind(ALL_KINDS):
            fine = (kind, before - int(FOLDED), before)
            if rows := raw.execute(_FOLDED, fine).fetchall():
                ended += raw.execute(_DELETE_FINE, fine).rowcount
                raw.executemany(_ADD, rows)
        return ended

    return operation


def _read_messages(actions: Sequence[ReaderAction]) -> Callable[[Connection], Mapping[str, ReadMessage]]:
    def operation(raw: Connection) -> Mapping[str, ReadMessage]:
        first = _first_times(actions)
        wanted = sorted({queue_id for queue_id, _ in first})
        found: dict[str, ReadMessage] = {}
        for start in range(0, len(wanted), _AT_ONCE):
            some = wanted[start : start + _AT_ONCE]
            places = some + some[:1] * (_AT_ONCE - len(some))
            events: dict[str, list[Sequence[Any]]] = {}
            for row in raw.execute(READERS, places):
                events.setdefault(row[0], []).append(row)
            for queue_id, domain, campaign in raw.execute(READ_MESSAGES, places):
                copies, reaches = _history(events.get(queue_id, ()), first)
                found[queue_id] = ReadMessage(domain, campaign, copies, reaches)
        return found

    return operation


def _first_times(actions: Iterable[ReaderAction]) -> dict[tuple[str, int], float]:
    """Return the time of the first action of each recipient."""
    first: dict[tuple[str, int], float] = {}
    for one in actions:
        key = (one.queue_id, one.number)
        first[key] = min(one.at, first.get(key, one.at))
    return first


def _history(
    rows: Iterable[Sequence[Any]], first: Mapping[tuple[str, int], float]
) -> tuple[frozenset[int], Mapping[int, Reach]]:
    """Return the copies of a message, and what its recipients did before the first of the actions."""
    copies: set[int] = set()
    reaches: dict[int, Reach] = {}
    for queue_id, number, kind, at, data in rows:
        if kind == "created":
            if '"copy":true' in data:
                copies.add(number)
        elif at < first.get((queue_id, number), 0.0):
            reached = reach_of(kind, decode_object(data))
            reaches[number] = stronger(reached, reaches.get(number, reached))
    return frozenset(copies), reaches
