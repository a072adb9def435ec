"""The filters of the list of messages: the parameters of a request, and the query that they make. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from relay.console.time_columns import SPANS
from relay.dsn.categories import CATEGORIES
from relay.reports.search import Search, Term, parsed, sender_group

STATUSES: Mapping[str, tuple[str, frozenset[str]]] = {
    "": ("All", frozenset()),
    "delivered": ("Delivered", frozenset({"delivered"})),
    "waiting": ("Waiting", frozenset({"created", "deferred", "processed", "held"})),
    "bounced": ("Bounced", frozenset({"bounced"})),
    "dropped": ("Dropped", frozenset({"dropped"})),
}
"""Statuses by which the list is narrowed: word, and statuses of recipients."""

TIMES = (
    ("hour", "Last hour", 3600.0),
    *((one.name, one.title, float(one.seconds)) for one in SPANS),
    ("all", "Any time", 0.0),
)
"""Spans of time: value, word, seconds; 0 for all."""

NAMES = ("q", "status", "span", "from", "to", "campaign", "category", "provider", "since", "until")
"""Parameters of the list, beside `before`."""

_ADVANCED = ("span", "from", "to", "campaign", "category", "provider", "since", "until")


class FilterError(ValueError):
    """A parameter has no meaning; the text says what would have."""


@dataclass(frozen=True, slots=True)
class Filters:
    """The parameters of a request."""

    given: Mapping[str, str]
    """The parameters, "" for those that are missing."""
    search: Search

    @property
    def is_narrowed(self) -> bool:
        """Whether anything but the status and the span is asked for."""
        return any(self.given[name] for name in NAMES if name not in ("status", "span"))

    @property
    def has_advanced(self) -> bool:
        """Whether one of the further filters is set."""
        return any(self.given[name] for name in _ADVANCED)


def read_filters(query: Mapping[str, str], now: float, page: int) -> Filters:
    """Return the filters of a request. Raises FilterError for a parameter that has no meaning."""
    given = {name: query.get(name, "").strip() for name in NAMES}
    if given["status"] not in STATUSES:
        raise FilterError(f"The status {given['status']} is not one of {', '.join(filter(None, STATUSES))}.")
    if given["category"] and given["category"] not in CATEGORIES:
        raise FilterError(f"There is no category {given['category']} of bounces.")
    since, until = _times(given, now)
    search = parsed(given["q"])
    groups = [*search.groups]
    if given["from"]:
        groups.append(sender_group(given["from"]))
    for name, letter in (("campaign", "c"), ("provider", "p")):
        if given[name]:
            groups.append((Term(f"{letter}:{given[name]}"),))
    found = replace(
        search,
        groups=tuple(groups),
        recipient=given["to"],
        statuses=STATUSES[given["status"]][1],
        category=given["category"],
        since=since,
        until=until,
        before=query.get("before", "").strip().upper(),
        limit=page,
    )
    filters = Filters(given, found)
    return replace(filters, search=replace(found, users_only=not filters.is_narrowed))


def _times(given: Mapping[str, str], now: float) -> tuple[float, float | None]:
    since = _date("since", given["since"])
    until = _date("until", given["until"])
    if since is not None or until is not None:
        return since or 0.0, None if until is None else until + 86400.0
    spans = {name: seconds for name, _, seconds in TIMES}
    if given["span"] not in ("", *spans):
        raise FilterError(f"The span {given['span']} is not one of {', '.join(spans)}.")
    seconds = spans.get(given["span"], 0.0)
    return (now - seconds if seconds else 0.0), None


def _date(name: str, text: str) -> float | None:
    if not text:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise FilterError(f"{name}: {text} is not a day; use one such as 2026-12-31.") from None


def span_options() -> Sequence[tuple[str, str]]:
    """Return the spans of the form."""
    return [("", "Any time"), *((name, word) for name, word, _ in TIMES if name != "all")]


def category_options() -> Sequence[tuple[str, str]]:
    """Return the categories of the form."""
    return [("", "Any"), *((name, about.title) for name, about in CATEGORIES.items())]
