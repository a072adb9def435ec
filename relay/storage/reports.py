"""Reading for reports: counts of entries, and events of failure with their messages. For reading connections."""

from collections.abc import Callable, Sequence

from relay.events.event import Kind
from relay.reports.ports import Failure, MessageQuery, Tally
from relay.storage import codec
from relay.storage.database import Connection
from relay.storage.queries import message_conditions

MOST = 100_000
"""Failures a report reads at most, the newest; older ones are left out."""

_DOMAIN = "substr(recipient_key, 1 + length(rtrim(recipient_key, replace(recipient_key, '@', ''))))"
_FAILURE = (
    "events.kind, events.at, events.queue_id, events.number, events.address, events.data, "
    "messages.identity, messages.domain, messages.campaign, messages.subject, messages.tags, messages.metadata"
)


def tallies(query: MessageQuery) -> Callable[[Connection], Sequence[Tally]]:
    """Count the entries of the messages that match by the recipient's domain and state."""
    where, values = message_conditions(query)
    sql = (
        f"SELECT {_DOMAIN}, state, count(*) FROM messages JOIN entries ON entries.queue_id = messages.queue_id "  # noqa: S608
        f"WHERE {where} GROUP BY 1, 2"
    )
    return lambda raw: [Tally(*row) for row in raw.execute(sql, values)]


def failures(query: MessageQuery, kinds: Sequence[Kind], category: str) -> Callable[[Connection], Sequence[Failure]]:
    """Return the events of these kinds (bounced, deferred, complaint) of the messages that match, newest first."""
    where, values = message_conditions(query)
    places = ", ".join("?" * len(kinds))
    said = f'%"category":"{category.replace("_", "!_")}"%' if category.isidentifier() else "%"
    sql = (
        f"SELECT {_FAILURE} FROM events INDEXED BY events_failed "  # noqa: S608  names and places only
        "CROSS JOIN messages WHERE messages.queue_id = events.queue_id "
        f"AND events.kind IN ('bounced', 'deferred', 'complaint') AND events.kind IN ({places}) AND events.at >= ? "
        f"AND events.data LIKE ? ESCAPE '!' AND {where} ORDER BY events.at DESC LIMIT ?"
    )
    bound = [*(kind.value for kind in kinds), query.since, said, *values, MOST]
    return lambda raw: [_failure(row) for row in raw.execute(sql, bound)]


def _failure(row: Sequence[object]) -> Failure:
    kind, at, queue_id, number, address, data, identity, domain, campaign, subject, tags, metadata = row
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
    )
