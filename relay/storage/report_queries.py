"""SQL of the reports."""

from collections.abc import Callable, Sequence

from relay.events.event import Kind
from relay.queue.entry import State
from relay.reports.ports import (
    MAX_CLICKS,
    CampaignCounts,
    Click,
    EventPage,
    EventPlace,
    Failure,
    MessageQuery,
    Story,
    Tally,
)
from relay.storage import json_columns, timelines
from relay.storage.database import Connection, Database
from relay.storage.message_queries import Statement, recipients_conditions

_BY_A_MACHINE = "events.data LIKE '%\"machine\":true%'"

_BY_A_PROXY = "events.data LIKE '%\"proxied\":true%' AND events.data NOT LIKE '%\"machine\":true%'"

_BY_A_PERSON = "events.data NOT LIKE '%\"machine\":true%' AND events.data NOT LIKE '%\"proxied\":true%'"
"""The encoding of `rows.encode_object`: it escapes quotes inside texts, so that no text can match."""

_FLAGS = {
    "clicked": f"events.kind = 'click' AND {_BY_A_PERSON}",
    "opened": f"(events.kind = 'open' OR events.kind = 'click') AND {_BY_A_PERSON}",
    "machine_clicked": f"events.kind = 'click' AND {_BY_A_MACHINE}",
    "machine_opened": f"(events.kind = 'open' OR events.kind = 'click') AND {_BY_A_MACHINE}",
    "proxy_opened": f"events.kind = 'open' AND {_BY_A_PROXY}",
    "replied": "events.kind = 'reply' AND events.data NOT LIKE '%\"automatic\":true%'",
    "unsubscribed": "events.kind = 'unsubscribe'",
    "complained": "events.kind = 'complaint'",
    "came_back": "events.kind = 'bounced' AND events.data LIKE '%\"late\":true%'",
}
"""Property of a recipient, by a test on one of its events."""

_COUNTED = {name: name for name in _FLAGS} | {
    "machine_clicked": "CASE WHEN clicked = 0 THEN machine_clicked ELSE 0 END",
    "machine_opened": "CASE WHEN opened = 0 AND proxy_opened = 0 THEN machine_opened ELSE 0 END",
    "proxy_opened": "CASE WHEN opened = 0 THEN proxy_opened ELSE 0 END",
}
"""Sums over recipients: an open by a proxy counts only without one of a person, one of a machine only without both."""

_FAILED = "(events.kind = 'bounced' OR events.kind = 'deferred' OR events.kind = 'complaint')"
"""The condition of the index events_failed: SQLite uses it only for queries that repeat it."""

_KINDS = ", ".join(
    f"'{kind}'" for kind in (Kind.OPEN, Kind.CLICK, Kind.REPLY, Kind.UNSUBSCRIBE, Kind.COMPLAINT, Kind.BOUNCED)
)


class ReportQueries:
    """Implements StoryStore, ReportStore and EngagementStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def stories(self, query: MessageQuery) -> Sequence[Story]:
        """Return the stories of the messages that match, newest first. `domain` is the sending domain."""
        return await self._database.read(timelines.stories(query))

    async def story_page(self, queue_id: str, after: EventPlace | None, limit: int) -> tuple[Story, EventPage] | None:
        """Return the story of a message and a page of its events, by time; None without such a message."""
        return await self._database.read(timelines.story_page(queue_id, after, limit))

    async def tallies(self, query: MessageQuery) -> Sequence[Tally]:
        """Count the recipients of the messages that match, by destination and state."""
        return await self._database.read(tallies(query))

    async def remotes(self, query: MessageQuery) -> Sequence[Tally]:
        """Count the recipients of the messages that match, by state and the last server that replied."""
        return await self._database.read(remotes(query))

    async def failures(
        self, query: MessageQuery, kinds: Sequence[Kind], category: str = "", before: Failure | None = None
    ) -> Sequence[Failure]:
        """Return a page of the events of these kinds of the messages that match, newest first."""
        return await self._database.read(failures(query, kinds, category, before))

    async def campaign_counts(self, query: MessageQuery) -> Sequence[CampaignCounts]:
        """Count delivery states and reader actions of the messages that match, by campaign."""

        def operation(connection: Connection) -> list[CampaignCounts]:
            delivered = {row[0]: row[1:] for row in connection.execute(*delivered_statement(query))}
            engaged = {row[0]: row[1:] for row in connection.execute(*engaged_statement(query))}
            nothing = (0,) * len(_FLAGS)
            return [
                CampaignCounts(campaign, *map(int, counts), *map(int, engaged.get(campaign, nothing)))
                for campaign, counts in delivered.items()
            ]

        return await self._database.read(operation)

    async def clicks(self, query: MessageQuery) -> Sequence[Click]:
        """Return the clicks on links of the messages that match, newest first, at most `MAX_CLICKS`."""
        sql, values = clicks_statement(query)

        def operation(connection: Connection) -> list[Click]:
            return [_click(*row) for row in connection.execute(sql, values)]

        return await self._database.read(operation)


def delivered_statement(query: MessageQuery) -> Statement:
    """Return the statement that counts recipients, and those delivered, by campaign."""
    where, values = recipients_conditions(query, "entries")
    sql = (
        "SELECT messages.campaign, count(*), "  # noqa: S608  conditions of this room, values bound
        f"sum(CASE WHEN entries.state = '{State.DELIVERED}' THEN 1 ELSE 0 END) "
        "FROM messages JOIN entries ON entries.queue_id = messages.queue_id "
        f"WHERE {where} GROUP BY messages.campaign"
    )
    return sql, values


def engaged_statement(query: MessageQuery) -> Statement:
    """Return the statement that counts recipients with at least one action of each kind, by campaign."""
    where, values = recipients_conditions(query, "events")
    flags = ", ".join(f"max(CASE WHEN {test} THEN 1 ELSE 0 END) AS {name}" for name, test in _FLAGS.items())
    sums = ", ".join(f"sum({counted})" for counted in _COUNTED.values())
    sql = (
        f"SELECT campaign, {sums} FROM (SELECT messages.campaign AS campaign, {flags} "  # noqa: S608
        "FROM messages CROSS JOIN events WHERE events.queue_id = messages.queue_id "
        f"AND events.kind IN ({_KINDS}) AND {where} "
        "GROUP BY messages.campaign, events.queue_id, events.number) AS readers GROUP BY campaign"
    )
    return sql, values


def clicks_statement(query: MessageQuery) -> Statement:
    """Return the statement that reads the clicks, newest first."""
    where, values = recipients_conditions(query, "events")
    sql = (
        "SELECT messages.campaign, events.queue_id, events.number, events.data "  # noqa: S608
        "FROM messages CROSS JOIN events WHERE events.queue_id = messages.queue_id "
        f"AND events.kind = 'click' AND {_BY_A_PERSON} AND {where} "
        "ORDER BY events.at DESC LIMIT ?"
    )
    return sql, [*values, MAX_CLICKS]


def _click(campaign: str, queue_id: str, number: int, data: str) -> Click:
    return Click(campaign, queue_id, number, str(json_columns.decode_object(data).get("target", "")))


PAGE = 5_000
"""Failures of one page: reading one occupies a connection for some hundredths of a second."""

_DOMAIN = "substr(recipient_key, 1 + length(rtrim(recipient_key, replace(recipient_key, '@', ''))))"

_FAILURE = (
    "events.kind, events.at, events.queue_id, events.number, events.address, events.data, "
    "messages.identity, messages.domain, messages.campaign, messages.subject, messages.tags, messages.metadata, "
    "events.id"
)


def tallies(query: MessageQuery) -> Callable[[Connection], Sequence[Tally]]:
    """Count the entries of the messages that match by the recipient's domain and state."""
    where, values = recipients_conditions(query, "entries")
    sql = (
        f"SELECT {_DOMAIN}, state, count(*) FROM messages JOIN entries ON entries.queue_id = messages.queue_id "  # noqa: S608
        f"WHERE {where} GROUP BY 1, 2"
    )
    return lambda raw: [Tally(*row) for row in raw.execute(sql, values)]


def remotes(query: MessageQuery) -> Callable[[Connection], Sequence[Tally]]:
    """Count the same entries by state and the last server that replied."""
    where, values = recipients_conditions(query, "entries")
    sql = (
        "SELECT last_remote, state, count(*) FROM messages JOIN entries ON entries.queue_id = messages.queue_id "  # noqa: S608
        f"WHERE {where} GROUP BY 1, 2"
    )
    return lambda raw: [Tally(*row) for row in raw.execute(sql, values)]


def failures(
    query: MessageQuery, kinds: Sequence[Kind], category: str, before: Failure | None
) -> Callable[[Connection], Sequence[Failure]]:
    """Return a page of the events of these kinds (bounced, deferred, complaint) of the messages that match."""
    where, values = recipients_conditions(query, "events")
    places = ", ".join("?" * len(kinds))
    filtered = f'%"category":"{category.replace("_", "!_")}"%' if category.isidentifier() else "%"
    guessed = '%"rule":"code-%' if category == "unknown" else filtered
    older = "AND events.at <= ? AND (events.at < ? OR events.id < ?) " if before else ""
    sql = (
        f"SELECT {_FAILURE} FROM events INDEXED BY events_failed "  # noqa: S608  names and places only
        "CROSS JOIN messages WHERE messages.queue_id = events.queue_id "
        f"AND {_FAILED} AND events.kind IN ({places}) AND events.at >= ? "
        f"{older}AND (events.data LIKE ? ESCAPE '!' OR events.data LIKE ? ESCAPE '!') AND {where} "
        "ORDER BY events.at DESC, events.id DESC LIMIT ?"
    )

    start = (before.at, before.at, before.id) if before else ()
    bound = [*(kind.value for kind in kinds), query.since, *start, filtered, guessed, *values, PAGE]
    return lambda raw: [_failure(row) for row in raw.execute(sql, bound)]


def _failure(row: Sequence[object]) -> Failure:
    kind, at, queue_id, number, address, data, identity, domain, campaign, subject, tags, metadata, nth = row
    return Failure(
        kind=Kind(str(kind)),
        at=float(str(at)),
        queue_id=str(queue_id),
        number=int(str(number)),
        address=str(address),
        data=json_columns.decode_object(str(data)),
        identity=str(identity),
        domain=str(domain),
        campaign=str(campaign),
        subject=str(subject),
        tags=json_columns.decode_list(str(tags)),
        metadata=json_columns.decode_strings(str(metadata)),
        id=int(str(nth)),
    )
