"""The page of one message, and what a search found. Pure."""

from collections.abc import Sequence

from relay.admin.dashboard.markup import Markup, tag
from relay.admin.dashboard.page import badge, messages_table, moment, page, section, table
from relay.reports.forms import Form

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
