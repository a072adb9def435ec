"""The form of Mailgun's `POST /v1/analytics/logs`: events by a filter in JSON. Pure."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from relay.api.vendors.forms import FormError
from relay.api.vendors.mailgun_events import MAX_EVENTS, Page, Query, parse_date, parse_kinds, parse_token

_ATTRIBUTES = ("domain", "tag", "recipient")

_SORTS: Mapping[str, bool] = {"timestamp:asc": True, "timestamp:desc": False}


@dataclass(frozen=True, slots=True)
class LogsQuery:
    """The parameters of a request: a selection of the events of one domain."""

    domain: str
    query: Query


def parse_logs(given: object) -> LogsQuery:
    """Return the query of a body. Raises FormError."""
    if not isinstance(given, Mapping):
        raise FormError("an object is expected")
    filters = list(_filters(given))
    domains = [value for attribute, value in filters if attribute == "domain"]
    if len(domains) != 1:
        raise FormError(f"filter: one domain is needed, such as {_example('domain', 'example.com')}", "filter")

    pagination = given.get("pagination") or {}
    token = pagination.get("token") if isinstance(pagination, Mapping) else None
    if token:
        return LogsQuery(domains[0], parse_token(str(token)))
    limit, ascending = _pagination(pagination)
    times = {key: str(given.get(key) or "") for key in ("start", "end")}
    words = given.get("events") or []
    if not isinstance(words, list):
        raise FormError("events: a list is expected", "events")
    query = Query(
        begin=parse_date(times, "start"),
        end=parse_date(times, "end"),
        ascending=ascending,
        limit=limit,
        kinds=tuple(sorted(kind.value for kind in parse_kinds({"event": " OR ".join(map(str, words))}))),
        tags=tuple(value for attribute, value in filters if attribute == "tag"),
        recipient=next((value for attribute, value in filters if attribute == "recipient"), ""),
    )
    return LogsQuery(domains[0], query)


def logs_answer(asked: LogsQuery, page: Page) -> Mapping[str, object]:
    """Return the answer. Without `next` the page is the last one."""
    return {
        "start": _date(asked.query.begin),
        "end": _date(asked.query.end),
        "items": [_item(one, asked.domain) for one in page.items],
        "pagination": {"next": page.following.token if page.more else None},
    }


def _item(event: Mapping[str, Any], domain: str) -> Mapping[str, Any]:
    """Return an event as logs have it. Its domain is that of the request, which clients compare."""
    at = datetime.fromtimestamp(event["timestamp"], UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    variables = json.dumps(event["user-variables"], ensure_ascii=False, separators=(",", ":"))
    return {**event, "@timestamp": at, "domain": {"name": domain}, "user-variables": variables}


def _filters(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the attributes and values that all events of the answer have."""
    found = given.get("filter") or {}
    entries = found.get("AND") if isinstance(found, Mapping) and set(found) <= {"AND"} else None
    for one in entries if isinstance(entries, list) else ():
        values = one.get("values") if isinstance(one, Mapping) else None
        if not isinstance(values, list) or len(values) != 1 or not isinstance(values[0], Mapping):
            raise FormError(f"filter: {_example('tag', 'news')} is expected in the list AND", "filter")
        if one.get("attribute") not in _ATTRIBUTES or one.get("comparator") != "=":
            raise FormError(f"filter: only = of {', '.join(_ATTRIBUTES)} is supported", "filter")
        yield str(one["attribute"]), str(values[0].get("value") or "")


def _pagination(pagination: object) -> tuple[int, bool]:
    given = pagination if isinstance(pagination, Mapping) else {}
    limit, sort = given.get("limit", 100), given.get("sort", "timestamp:asc")
    if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= MAX_EVENTS:
        raise FormError(f"pagination.limit must be a number from 1 to {MAX_EVENTS}", "pagination")
    if sort not in _SORTS:
        raise FormError(f"pagination.sort must be one of {', '.join(_SORTS)}", "pagination")
    return limit, _SORTS[sort]


def _example(attribute: str, value: str) -> str:
    return json.dumps({"attribute": attribute, "comparator": "=", "values": [{"value": value}]})


def _date(at: float) -> str | None:
    return format_datetime(datetime.fromtimestamp(at, UTC)) if at else None
