"""The pages of the dashboard: overview, message, search results."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from relay.admin.dashboard.html import (
    Markup,
    badge,
    fragment,
    messages_table,
    moment,
    numbers,
    page,
    percent,
    section,
    table,
    tag,
)
from relay.queue.pause import Pause
from relay.queue.routing import LanePause
from relay.reports.serialize import JsonObject, time_json


@dataclass(frozen=True, slots=True)
class Overview:
    """Data of the overview page."""

    hostname: str
    version: str
    healthy: bool
    queue: Mapping[str, int]
    """Entries by state."""
    last_hour: Mapping[str, int]
    """Events by kind."""
    paused: Mapping[str, LanePause]
    """Pauses by lane."""
    paused_identities: Mapping[str, Pause]
    """Pauses by address."""
    recent: Sequence[JsonObject]
    bounces: JsonObject
    engagement: JsonObject


def overview_page(shown: Overview) -> str:
    """Return the overview page."""
    return page(
        f"relay: {shown.hostname}",
        fragment(f"{shown.hostname} · version {shown.version} ", _health(shown.healthy)),
        "",
        _paused(shown.paused, shown.paused_identities),
        _numbers(shown),
        section("Recent messages", messages_table(shown.recent, "No message was accepted yet.")),
        tag("div", _bounces(shown.bounces), _engagement(shown.engagement), class_="pair"),
    )


def _health(healthy: bool) -> Markup:
    if healthy:
        return tag("span", "working", class_="badge good")
    return tag("span", "the store does not answer: see store.trouble in the log", class_="badge bad")


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


def _paused(pauses: Mapping[str, LanePause], identities: Mapping[str, Pause]) -> Markup | None:
    if not pauses and not identities:
        return None
    lines = (
        tag("li", tag("b", lane), f": {pause.why}, until ", moment(time_json(pause.until)), " UTC")
        for lane, pause in sorted(pauses.items())
    )
    held = (
        tag("li", tag("b", address), f": {pause.why}, until an operator resumes it")
        for address, pause in sorted(identities.items())
    )
    return section("Paused", tag("ul", *lines, *held), class_="alert")


def _bounces(report: JsonObject) -> Markup:
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


def _engagement(report: JsonObject) -> Markup:
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
    return section("Engagement", table(columns, rows, "No mail yet."), note="30 days, machines left out")


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

_IN_COLUMNS = frozenset({"at", "event", "queue_id", "recipient"})
"""Keys of an event that are not shown as details."""


def message_page(hostname: str, story: JsonObject) -> str:
    """Return the page of a message: its properties, recipients and timeline."""
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
        section("Timeline", _events(events, several=len(recipients) > 1), _next_page(story)),
    )


def _next_page(story: JsonObject) -> Markup | None:
    """Return the link to the following events, if there are any."""
    if story["next_events"] is None:
        return None
    return tag("p", tag("a", "Later events", href=f"/message/{story['queue_id']}?after={story['next_events']}"))


def search_page(hostname: str, query: str, stories: Sequence[JsonObject], most: int = 0) -> str:
    """Return the page of search results, newest first; there may be more if there are `most`."""
    empty = "No message found. Search for a queue id, a Message-ID or the complete address of a recipient."
    found = f"the newest {most}; `relay trace --all` shows all" if len(stories) == most else f"{len(stories)} found"
    note = found if stories else ""
    return page(f"{query}: relay", hostname, query, section(query, messages_table(stories, empty), note=note))


def _facts(story: JsonObject) -> Markup:
    pairs = [(title, story[key]) for title, key in _FACTS]
    tags, metadata = story["tags"], story["metadata"]
    assert isinstance(tags, list)
    assert isinstance(metadata, dict)
    pairs.append(("Tags", ", ".join(tags)))
    pairs += [(f"Metadata {key}", value) for key, value in metadata.items()]
    return tag(
        "dl",
        *(tag("div", tag("dt", title), tag("dd", value)) for title, value in pairs if value),
        class_="facts",
    )


def _recipients(recipients: Sequence[JsonObject]) -> Markup:
    columns = (
        ("Recipient", None),
        ("Status", "b"),
        ("By", None),
        ("Attempts", "n"),
        ("Next (UTC)", "t"),
        ("Reply", "m"),
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


def _events(events: Sequence[JsonObject], *, several: bool) -> Markup:
    columns = (("At (UTC)", "t"), ("Event", "b"), *([("Recipient", None)] if several else []), ("Details", "m"))
    rows = (
        (
            moment(one["at"]),
            badge(str(one["event"])),
            *([one["recipient"]] if several else []),
            " · ".join(
                f"{key}: {value}" for key, value in one.items() if key not in _IN_COLUMNS and value not in ("", None)
            ),
        )
        for one in events
    )
    return table(columns, rows, "Nothing yet.")
