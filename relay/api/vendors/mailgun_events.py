"""The events of Mailgun's `GET /v3/<domain>/events`: the filter of a request, and a page of the feed in that form."""

import binascii
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any

from relay.api.vendors.forms import FormError
from relay.events.event import Kind
from relay.mail.canonical_address import canonical
from relay.webhooks.build import build
from relay.webhooks.feed import EventFeed, Position, StoredEvent, parse_position
from relay.webhooks.filters import Filter
from relay.webhooks.formats.mailgun import event_data

MAX_EVENTS = 300
"""Events of one page, at most."""

PAGE = 500
"""Events read at once."""

SCANNED = 5000
"""Events that one request reads after the first one of its page, at most."""

LATE = 3600.0
"""Seconds by which an event may stand behind later ones in the feed."""

_KINDS: Mapping[str, frozenset[Kind]] = {
    "accepted": frozenset({Kind.PROCESSED}),
    "delivered": frozenset({Kind.DELIVERED}),
    "failed": frozenset({Kind.DEFERRED, Kind.BOUNCED, Kind.DROPPED}),
    "rejected": frozenset(),
    "stored": frozenset(),
    "opened": frozenset({Kind.OPEN}),
    "clicked": frozenset({Kind.CLICK}),
    "unsubscribed": frozenset({Kind.UNSUBSCRIBE}),
    "complained": frozenset({Kind.COMPLAINT}),
}

_SEVERITIES: Mapping[str, frozenset[Kind]] = {
    "temporary": frozenset({Kind.DEFERRED}),
    "permanent": frozenset({Kind.BOUNCED, Kind.DROPPED}),
}


@dataclass(frozen=True, slots=True)
class Query:
    """The parameters of a request. Times are Unix seconds, `end` 0.0 for none: the range, in either order.

    `after` is a position, "" for the first page.
    """

    after: str = ""
    begin: float = 0.0
    end: float = 0.0
    ascending: bool = True
    limit: int = 100
    kinds: tuple[str, ...] = tuple(sorted(kind.value for kinds in _KINDS.values() for kind in kinds))
    tags: tuple[str, ...] = ()
    recipient: str = ""
    message_id: str = ""

    def passes(self, stored: StoredEvent) -> bool:
        """Whether an event is of the range, and has all tags. Requests of machines are no opens and clicks."""
        event, message = stored.event, stored.message
        if event.at < self.begin or (self.end and event.at > self.end) or event.data.get("machine"):
            return False
        if self.recipient and canonical(event.address) != canonical(self.recipient):
            return False
        if self.message_id and (message is None or message.message_id.strip("<>") != self.message_id):
            return False
        return not self.tags or (message is not None and set(self.tags) <= set(message.tags))

    def ends_before(self, at: float) -> bool:
        """Whether no event of the range comes behind one of that time."""
        return bool(self.end and at > self.end + LATE) if self.ascending else at < self.begin - LATE

    @property
    def token(self) -> str:
        """The query as one segment of a URL: the next request may come without its parameters."""
        return urlsafe_b64encode(json.dumps(asdict(self), separators=(",", ":")).encode()).decode().rstrip("=")


def parse_token(token: str) -> Query:
    """Return the query of a token. Raises FormError."""
    try:
        found = json.loads(urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        values: dict[str, Any] = {key: tuple(one) if isinstance(one, list) else one for key, one in found.items()}
        query = Query(**values)
        if query.after:
            parse_position(query.after)
        _checked(query)
    except (ValueError, TypeError, AttributeError, binascii.Error):
        raise FormError("the page token is not one of this server", "page") from None
    return query


def _checked(query: Query) -> None:
    """Raise ValueError for values that no token of this server has."""
    numbers = (query.begin, query.end, query.limit)
    texts = (query.after, query.recipient, query.message_id, *query.kinds, *query.tags)
    if not all(isinstance(one, int | float) for one in numbers) or not all(isinstance(one, str) for one in texts):
        raise ValueError
    if not 1 <= query.limit <= MAX_EVENTS or not isinstance(query.ascending, bool):
        raise ValueError


def parse_query(given: Mapping[str, str]) -> Query:
    """Return the query of a first page. Raises FormError."""
    begin, end, ascending = _range(given)
    kinds = parse_kinds(given)
    return Query(
        begin=begin,
        end=end,
        ascending=ascending,
        limit=parse_limit(given, 100, MAX_EVENTS),
        kinds=tuple(sorted(kind.value for kind in kinds)),
        tags=tuple(one.strip() for one in given.get("tags", "").split(" AND ") if one.strip()),
        recipient=given.get("recipient", ""),
        message_id=given.get("message-id", "").strip("<>"),
    )


def parse_limit(given: Mapping[str, str], default: int, most: int) -> int:
    """Return the size of a page. Raises FormError."""
    limit = given.get("limit", str(default))
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:9]) <= most):
        raise FormError(f"limit must be a number from 1 to {most}", "limit")
    return int(limit)


def _range(given: Mapping[str, str]) -> tuple[float, float, bool]:
    """Return the first and the last time of the range, and whether it is read from the first one on.

    `begin` is where the reader begins: from the newest on it is the later time, and without it that is now.
    """
    begin, end = parse_date(given, "begin"), parse_date(given, "end")
    text = given.get("ascending") or ("yes" if (begin and begin <= end) or (begin and not end) else "no")
    if text not in ("yes", "true", "1", "no", "false", "0"):
        raise FormError("ascending must be yes or no", "ascending")
    ascending = text in ("yes", "true", "1")
    if not ascending:
        begin, end = end, begin
    if end and begin > end:
        begin, end = end, begin
    return begin, end, ascending


def parse_kinds(given: Mapping[str, str]) -> frozenset[Kind]:
    """Return the kinds of `event` and `severity`. Raises FormError."""
    words = [one.strip() for one in given.get("event", "").split(" OR ") if one.strip()] or list(_KINDS)
    if unknown := [one for one in words if one not in _KINDS]:
        raise FormError(f"event: {unknown[0][:50]!r} is unknown; known are {', '.join(_KINDS)}", "event")
    kinds = frozenset[Kind]().union(*(_KINDS[one] for one in words))
    severity = given.get("severity", "")
    if severity and severity not in _SEVERITIES:
        raise FormError("severity must be temporary or permanent", "severity")
    return kinds & _SEVERITIES[severity] if severity else kinds


def parse_date(given: Mapping[str, str], key: str) -> float:
    """Return Unix seconds of a number, or of a date by RFC 2822; 0.0 without."""
    text = given.get(key, "")
    if not text:
        return 0.0
    try:
        at = float(text) if text.replace(".", "", 1).isdigit() else parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        raise FormError(f"{key} must be Unix seconds, or a date such as Fri, 15 Jan 2027 08:00:00 GMT", key) from None
    return min(max(at, 0.0), 1e11)


@dataclass(frozen=True, slots=True)
class Page:
    """Items of one page, the queries of the next one and of an empty one, and whether there may be more items."""

    items: Sequence[Mapping[str, Any]]
    following: Query
    last: Query
    more: bool


async def read_page(feed: EventFeed, query: Query, allowed: Filter) -> Page:
    """Read the next events of a query that `allowed` passes. A page without items is the last one.

    Raises StoreError, and PositionError for a position of another database.
    """
    allowed = replace(allowed, kinds=frozenset(query.kinds))
    read = feed.read if query.ascending else feed.read_back
    after = parse_position(query.after) if query.after else await _start(feed, query)
    items: list[Mapping[str, Any]] = []
    scanned, more = 0, True
    while more and len(items) < query.limit and not (items and scanned > SCANNED):
        page = await read(after, min(PAGE, max(query.limit - len(items), 100)))
        more, scanned = page.is_full, scanned + len(page.events)
        for stored in page.events:
            after = _beyond(stored.position, query)
            if query.ends_before(stored.event.at):
                more = False
                break
            if allowed.passes(stored) and query.passes(stored):
                items.append(event_data(build(stored, subject=True)))
                if len(items) == query.limit:
                    more = True
                    break
        else:
            after = _beyond(page.end, query) if page.events or page.is_full else after
    end = await feed.end() if query.ascending else Position()
    return Page(items, replace(query, after=str(after)), replace(query, after=str(end)), more)


def _beyond(position: Position, query: Query) -> Position:
    """Return where a reader goes on behind an event: after it, or before it."""
    return position if query.ascending else Position(position.transaction, max(position.row - 1, 0))


async def _start(feed: EventFeed, query: Query) -> Position:
    if query.ascending:
        return await feed.since(query.begin) if query.begin else Position()
    return await feed.since(query.end + 2 * LATE) if query.end else await feed.end()
