"""Tallies of events by span, kind and sending domain: SQL and its values."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from relay.reports.tallies import (
    ALL_KINDS,
    CAMPAIGN,
    FINE,
    FOLDED,
    FOLDED_AT_ONCE,
    HOUR,
    KEPT,
    SPAN,
    BatchName,
    Engagement,
    ReaderAction,
    ReadMessage,
    TallyKey,
    TallySum,
    engagement_of,
    every_kind,
    stronger,
)
from relay.storage.database import Connection, Database
from relay.storage.json_columns import decode_object
from relay.storage.message_queries import equals

_ADD = (
    "INSERT INTO tallies (at, kind, domain, count) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (at, kind, domain) DO UPDATE SET count = tallies.count + excluded.count"
)

_IDENTITY = "domain LIKE '%@%'"

_NEW_BATCH = (
    "INSERT INTO tally_writers (writer, batch, at) VALUES (?, ?, ?) ON CONFLICT (writer) "
    "DO UPDATE SET batch = excluded.batch, at = excluded.at WHERE tally_writers.batch < excluded.batch RETURNING batch"
)
"""Gives a row for a batch that was not added before."""

DELETE_WRITERS = "DELETE FROM tally_writers WHERE at < ?"

_FINE = f"kind = ? AND at >= ? AND at < ? AND at % {HOUR} != 0"

FIND_FINE = f"SELECT DISTINCT at / {FOLDED_AT_ONCE} FROM tallies WHERE {_FINE}"  # noqa: S608  names only

DELETE_FINE = f"DELETE FROM tallies WHERE {_FINE} RETURNING at, domain, count"  # noqa: S608  names only
"""Gives the rows that this transaction deleted: those that another node deletes at the same time are not among them."""

DELETE_OLD = "DELETE FROM tallies WHERE kind = ? AND at < ?"

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
    f"WHERE queue_id IN ({_PLACES}) AND (kind IN ('open', 'click') AND at < ? "
    "OR kind = 'created' AND instr(data, '\"copy\":true') > 0)"
)
"""What readers did before a time, and copies. Most messages have no row: SQLite's driver is slow at each."""


class TallyTable:
    """Implements TallyStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, counts: Mapping[TallyKey, int], batch: BatchName | None = None) -> None:
        """Add the counts to those in the store. With the name of a batch this may be repeated."""
        # In one order, so that two nodes that add to the same rows do not wait for each other in a circle.
        rows = [(key.at, key.kind, key.domain, count) for key, count in sorted(counts.items()) if count]
        await self._database.write(_add(rows, batch))

    async def sums(
        self, since: float, until: float, kinds: Sequence[str], senders: tuple[str, ...] = (), span: int = SPAN
    ) -> Sequence[TallySum]:
        """Return the sums by kind and multiples of `span` seconds, in order of time."""
        sql, values = sums_statement(since, until, kinds, senders, span)
        return await self._database.read(lambda raw: [TallySum(*row) for row in raw.execute(sql, values)])

    async def domains(self, since: float) -> Sequence[tuple[str, int]]:
        """Return the sending domains with their deliveries since that time, the busiest first."""
        return await self._database.read(lambda raw: raw.execute(_DOMAINS, (int(since),)).fetchall())

    async def read_messages(self, actions: Sequence[ReaderAction]) -> Mapping[str, ReadMessage]:
        """Return what is known of the messages of users that these actions are about, by queue id."""
        return await self._database.read(_read_messages(actions))

    async def fold(self, before: float) -> int:
        """Add up the counts of five minutes from before that time by the hour, and end those older than KEPT.

        `before` is FINE ago. Return the number of rows that ended. Nodes may do it at once.
        """
        end = int(before // HOUR) * HOUR
        ended = await self._database.write(_end(end))
        for number in await self._database.read(_find_fine(end)):
            since = number * FOLDED_AT_ONCE
            ended += await self._database.write(_fold(since, min(since + FOLDED_AT_ONCE, end)))
        return ended


def sums_statement(
    since: float, until: float, kinds: Sequence[str], senders: tuple[str, ...], span: int
) -> tuple[str, list[object]]:
    """Return the statement for the sums, and its values."""
    names = every_kind(kinds)
    of = equals("domain", senders) if senders else f"NOT {_IDENTITY}"
    sql = (
        f"SELECT at / {span:d} * {span:d}, kind, CAST(sum(count) AS BIGINT) FROM tallies "  # noqa: S608  values bound
        f"WHERE kind IN ({', '.join('?' * len(names))}) AND at >= ? AND at < ? AND {of} GROUP BY 1, 2 ORDER BY 1, 2"
    )
    return sql, [*names, int(since), int(until), *senders]


def _add(rows: Sequence[Sequence[object]], batch: BatchName | None) -> Callable[[Connection], None]:
    def operation(raw: Connection) -> None:
        if batch and raw.execute(_NEW_BATCH, (batch.writer, batch.number, batch.at)).fetchone() is None:
            return
        raw.executemany(_ADD, rows)

    return operation


def _end(before: int) -> Callable[[Connection], int]:
    """Delete what is older than KEPT; return the number of rows."""

    def operation(raw: Connection) -> int:
        raw.execute(DELETE_WRITERS, (before,))
        return sum(
            raw.execute(DELETE_OLD, (kind, before - int(KEPT - FINE))).rowcount for kind in every_kind(ALL_KINDS)
        )

    return operation


def _find_fine(before: int) -> Callable[[Connection], Sequence[int]]:
    """Return the numbers of the spans of FOLDED_AT_ONCE that have counts of five minutes, the newest first."""

    def operation(raw: Connection) -> Sequence[int]:
        found: set[int] = set()
        for kind in every_kind(ALL_KINDS):
            found.update(number for (number,) in raw.execute(FIND_FINE, (kind, before - FOLDED, before)))
        return sorted(found, reverse=True)

    return operation


def _fold(since: int, until: int) -> Callable[[Connection], int]:
    """Add up the counts of five minutes between two hours; return the number of rows that ended."""

    def operation(raw: Connection) -> int:
        ended = 0
        for kind in every_kind(ALL_KINDS):
            fine = raw.execute(DELETE_FINE, (kind, since, until)).fetchall()
            ended += len(fine)
            hours: Counter[tuple[int, str]] = Counter()
            for at, domain, count in fine:
                hours[at // HOUR * HOUR, domain] += count
            raw.executemany(_ADD, [(at, kind, domain, count) for (at, domain), count in sorted(hours.items())])
        return ended

    return operation


def _read_messages(actions: Sequence[ReaderAction]) -> Callable[[Connection], Mapping[str, ReadMessage]]:
    def operation(raw: Connection) -> Mapping[str, ReadMessage]:
        first = _first_times(actions)
        last = max(first.values(), default=0.0)
        wanted = sorted({queue_id for queue_id, _ in first})
        found: dict[str, ReadMessage] = {}
        for start in range(0, len(wanted), _AT_ONCE):
            some = wanted[start : start + _AT_ONCE]
            places = some + some[:1] * (_AT_ONCE - len(some))
            events: dict[str, list[Sequence[Any]]] = {}
            for row in raw.execute(READERS, [*places, last]):
                events.setdefault(row[0], []).append(row)
            for queue_id, domain, campaign in raw.execute(READ_MESSAGES, places):
                copies, engagements = _history(events.get(queue_id, ()), first)
                found[queue_id] = ReadMessage(domain, campaign, copies, engagements)
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
) -> tuple[frozenset[int], Mapping[int, Engagement]]:
    """Return the copies of a message, and what its recipients did before the first of the actions."""
    copies: set[int] = set()
    engagements: dict[int, Engagement] = {}
    for queue_id, number, kind, at, data in rows:
        if kind == "created":
            copies.add(number)
        elif at < first.get((queue_id, number), 0.0):
            reached = engagement_of(kind, decode_object(data))
            engagements[number] = stronger(reached, engagements.get(number, reached))
    return frozenset(copies), engagements
