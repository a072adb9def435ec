"""Overview and message pages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from relay.admin.dashboard.html import (
    Markup,
    badge,
    join,
    messages_table,
    moment,
    numbers,
    page,
    percent,
    section,
    table,
    tag,
)
from relay.reports.serialize import Form


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


_FACTS = (
    ("Queue id", "queue_id"),
    ("Message-ID", "message_id"),
    ("From", "from"),
    ("Reverse-path", "reverse_path"),
    ("Identity", "identity"),
    ("Sending domain", "domain"),
    ("Provider", "provider"),
    ("Campaign", "campaign"),
    ("Size", "size"),
    ("Credential", "credential"),
    ("Client", "client"),
)


_SAID = frozenset({"at", "event", "queue_id", "recipient"})
"""What stands in a column of its own."""


def story_page(hostname: str, story: Form) -> str:
    """Return the page of a message: what is known of it, its recipients, and what happened."""
    recipients, events = story["recipients"], story["events"]
    assert isinstance(recipients, list)
    assert isinstance(events, list)
    title = str(story["subject"] or story["queue_id"])
    return page(
        f"{title}: relay",
        hostname,
        str(story["queue_id"]),
        tag(
            "section",
            tag("h1", title),
            tag("p", "Accepted ", moment(story["created_at"]), " UTC", class_="q"),
            _facts(story),
        ),
        section("Recipients", _recipients(recipients)),
        section("What happened", _events(events, several=len(recipients) > 1)),
    )


def found_page(hostname: str, query: str, stories: Sequence[Form]) -> str:
    """Return what a search found, newest first."""
    empty = "Nothing. A queue id, a Message-ID or a recipient's whole address finds a message."
    note = f"{len(stories)} found" if stories else ""
    return page(f"{query}: relay", hostname, query, section(query, messages_table(stories, empty), note=note))


def _facts(story: Form) -> Markup:
    pairs = [(title, story[key]) for title, key in _FACTS]
    tags, metadata = story["tags"], story["metadata"]
    assert isinstance(tags, list)
    assert isinstance(metadata, dict)
    pairs.append(("Tags", ", ".join(tags)))
    pairs += [(f"Metadata {key}", value) for key, value in metadata.items()]
    return tag(
        "dl", *(tag("div", tag("dt", title), tag("dd", value)) for title, value in pairs if value), class_="facts"
    )


def _recipients(recipients: Sequence[Form]) -> Markup:
    columns = (
        ("Recipient", None),
        ("Status", "b"),
        ("By", None),
        ("Attempts", "n"),
        ("Next (UTC)", "t"),
        ("Said", "m"),
    )
    rows = (
        (
            one["recipient"],
            badge(str(one["status"])),
            one["lane"],
            one["attempts"],
            moment(one["next_attempt_at"]),
            one["reason"] or one["reply"],
        )
        for one in recipients
    )
    return table(columns, rows, "It has no recipients.")


def _events(events: Sequence[Form], *, several: bool) -> Markup:
    columns = (("At (UTC)", "t"), ("Event", "b"), *([("Recipient", None)] if several else []), ("Details", "m"))
    rows = (
        (
            moment(one["at"]),
            badge(str(one["event"])),
            *([one["recipient"]] if several else []),
            " · ".join(f"{key}: {value}" for key, value in one.items() if key not in _SAID and value not in ("", None)),
        )
        for one in events
    )
    return table(columns, rows, "Nothing yet.")
