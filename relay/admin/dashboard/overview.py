"""The first page of the dashboard: how the relay is doing now, and how its mail did. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from relay.admin.dashboard.markup import Markup, join, tag
from relay.admin.dashboard.page import badge, messages_table, moment, numbers, page, percent, section, table
from relay.reports.forms import Form


@dataclass(frozen=True, slots=True)
class Resting:
    """A lane that is down: nothing leaves by it until then."""

    lane: str
    why: str
    until: str | None
    """RFC 3339; None when it does not end by itself."""


@dataclass(frozen=True, slots=True)
class Overview:
    """What the page shows."""

    hostname: str
    version: str
    healthy: bool
    queue: Mapping[str, int]
    """Entries by state."""
    last_hour: Mapping[str, int]
    """Events by kind."""
    resting: Sequence[Resting]
    recent: Sequence[Form]
    bounces: Form
    engagement: Form


def overview_page(shown: Overview) -> str:
    """Return the page."""
    return page(
        f"relay: {shown.hostname}",
        join(f"{shown.hostname} · version {shown.version} ", _health(shown.healthy)),
        "",
        _resting(shown.resting),
        _numbers(shown),
        section("Recent messages", messages_table(shown.recent, "No message was accepted yet.")),
        tag("div", _bounces(shown.bounces), _engagement(shown.engagement), class_="pair"),
    )


def _health(healthy: bool) -> Markup:
    if healthy:
        return tag("span", "working", class_="badge good")
    return tag("span", "the store is in trouble: see store.trouble in the log", class_="badge bad")


def _numbers(shown: Overview) -> Markup:
    queue, hour = shown.queue, shown.last_hour
    return numbers(
        ("Waiting", queue.get("waiting", 0), "in the queue"),
        ("Being delivered", queue.get("active", 0), "now"),
        ("Held", queue.get("held", 0), "by an operator"),
        ("Delivered", hour.get("delivered", 0), "last hour"),
        ("Deferred", hour.get("deferred", 0), "last hour"),
        ("Bounced", hour.get("bounced", 0), "last hour"),
    )


def _resting(resting: Sequence[Resting]) -> Markup | None:
    if not resting:
        return None
    lines = (
        tag(
            "li", tag("b", one.lane), f": {one.why}", join(", until ", moment(one.until), " UTC") if one.until else None
        )
        for one in resting
    )
    return section("Paused", tag("ul", *lines), class_="alert")


def _bounces(report: Form) -> Markup:
    note = f"30 days: {report['bounced']} of {report['recipients']} recipients ({percent(report['bounce_rate'])})"
    categories = report["categories"]
    assert isinstance(categories, list)
    found = [
        tag(
            "details",
            tag("summary", tag("b", one["bounced"]), " ", one["title"], " ", badge(one["category"])),
            tag("ul", *(tag("li", line) for line in one["guidance"])),
        )
        for one in categories
    ]
    return section("Bounces", *(found or [tag("p", "Nothing bounced.", class_="q")]), note=note)


def _engagement(report: Form) -> Markup:
    campaigns = report["campaigns"]
    assert isinstance(campaigns, list)
    columns = (
        ("Campaign", None),
        ("Delivered", "n"),
        ("Opened", "n"),
        ("Clicked", "n"),
        ("Replied", "n"),
        ("Unsubscribed", "n"),
    )
    rows = [
        (
            one["campaign"] or tag("span", "transactional", class_="q"),
            one["delivered"],
            f"{one['opens']} ({percent(one['open_rate'])})",
            f"{one['clicks']} ({percent(one['click_rate'])})",
            one["replies"],
            one["unsubscribes"],
        )
        for one in campaigns
    ]
    return section("Engagement", table(columns, rows, "No mail yet."), note="30 days, people only")
