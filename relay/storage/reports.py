"""Reading for reports: counts of entries, and events of failure with their messages. For reading connections."""

from collections.abc import Callable, Sequence

from relay.events.event import Kind
from relay.reports.ports import Failure, MessageQuery, Tally
from relay.storage import codec
from relay.storage.database import Connection
from relay.storage.queries import NO_COPY, message_conditions

PAGE = 5_000
"""Failures of one page: read at once they keep a connection some hundredths of a second."""

_DOMAIN = "substr(recipient_key, 1 + length(rtrim(recipient_key, replace(recipient_key, '@', ''))))"
_FAILURE = (
    "events.kind, events.at, events.queue_id, events.number, events.address, events.data, "
    "messages.identity, messages.domain, messages.campaign, messages.subject, messages.tags, messages.metadata, "
    "events.id"
)


def tallies(query: MessageQuery) -> Callable[[Connection], Sequence[Tally]]:
    """Count the entries of the messages that match by the recipient's domain and state; copies count for nobody."""
    where, values = message_conditions(query)
    sql = (
        f"SELECT {_DOMAIN}, state, count(*) FROM messages JOIN entries ON entries.queue_id = messages.queue_id "  # noqa: S608
        f"WHERE {NO_COPY} AND {where} GROUP BY 1, 2"
    )
    return lambda raw: [Tally(*row) for row in raw.execute(sql, values)]


def remotes(query: MessageQuery) -> Callable[[Connection], Sequence[Tally]]:
    """Count the same entries by the server that answered last and state."""
    where, values = message_conditions(query)
    sql = (
        "SELECT last_remote, state, count(*) FROM messages JOIN entries ON entries.queue_id = messages.queue_id "  # noqa: S608
        f"WHERE {NO_COPY} AND {where} GROUP BY 1, 2"
    )
    return lambda raw: [Tally(*row) for row in raw.execute(sql, values)]


def failures(
    query: MessageQuery, kinds: Sequence[Kind], category: str, before: Failure | None
) -> Callable[[Connection], Sequence[Failure]]:
    """Return a page of the events of these kinds (bounced, deferred, complaint) of the messages that match."""
    where, values = message_conditions(query)
    places = ", ".join("?" * len(kinds))
    said = f'%"category":"{category.replace("_", "!_")}"%' if category.isidentifier() else "%"
    guessed = '%"rule":"code-%' if category == "unknown" else said
    older = "AND events.at <= ? AND (events.at < ? OR events.id < ?) " if before else ""
    sql = (
        f"SELECT {_FAILURE} FROM events INDEXED BY events_failed "  # noqa: S608  names and places only
        "CROSS JOIN messages WHERE messages.queue_id = events.queue_id "
        f"AND events.kind IN ('bounced', 'deferred', 'complaint') AND events.kind IN ({places}) AND events.at >= ? "
        f"{older}AND (events.data LIKE ? ESCAPE '!' OR events.data LIKE ? ESCAPE '!') AND {where} "
        "ORDER BY events.at DESC, events.id DESC LIMIT ?"
    )
    place = (before.at, before.at, before.id) if before else ()
    bound = [*(kind.value for kind in kinds), query.since, *place, said, guessed, *values, PAGE]
    return lambda raw: [_failure(row) for row in raw.execute(sql, bound)]


def _failure(row: Sequence[object]) -> Failure:
    kind, at, queue_id, number, address, data, identity, domain, campaign, subject, tags, metadata, nth = row
    return Failure(
        kind=Kind(str(kind)),
        at=float(str(at)),
        queue_id=str(queue_id),
        number=int(str(number)),
        address=str(address),
        data=codec.decode_object(str(data)),
        identity=str(identity),
        domain=str(domain),
        campaign=str(campaign),
        subject=str(subject),
        tags=codec.decode_list(str(tags)),
        metadata=codec.decode_strings(str(metadata)),
        id=int(str(nth)),
    )
