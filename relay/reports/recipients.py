"""The report on recipients: one row each, with status, last reply and guidance; and their sums by a label. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

from relay.config.server import Proxies
from relay.dsn.categories import CATEGORIES
from relay.events.event import Event, Kind
from relay.mail.lane import is_simulated
from relay.queue.entry import Entry, State
from relay.reports.ports import Story
from relay.reports.serialize import JsonObject, late_bounce, time_json

STATUSES = (
    *("created", "processed", "deferred", "held", "delivered", "bounced", "dropped"),
    *("opened", "unopened", "clicked", "replied", "unsubscribed", "complained"),
)
"""What `--status` selects: the status of a recipient, and what it did. `unopened` is delivered and not opened."""

_DONE = {
    Kind.CLICK: ("opened", "clicked"),
    Kind.OPEN: ("opened",),
    Kind.REPLY: ("replied",),
    Kind.UNSUBSCRIBE: ("unsubscribed",),
    Kind.COMPLAINT: ("complained",),
}


def recipient_rows(
    story: Story,
    statuses: frozenset[str],
    *,
    with_copies: bool = False,
    simulated: bool = True,
    proxies: Proxies = "opened",
) -> Iterator[JsonObject]:
    """Yield the recipients of a message that have one of the statuses; no statuses select all.

    Without `simulated` those of the simulator are left out.

    `proxies` says what an open by a proxy counts as. With "apart" it makes a recipient neither opened nor unopened.
    """
    for entry in story.entries:
        if not simulated and is_simulated(entry.lane):
            continue
        if with_copies or entry.number not in story.message.policy.copies:
            activity = _activity(story, entry, proxies)
            row = _row(story, entry, activity)
            if not statuses or statuses & {row["status"], *activity}:
                yield row


def _row(story: Story, entry: Entry, activity: set[str]) -> JsonObject:
    message, late = story.message, late_bounce(story, entry.number)
    failure = late or _last_failure(story, entry)
    about = CATEGORIES.get(str(failure.data.get("category", ""))) if failure else None
    return {
        "created_at": time_json(message.created_at),
        "queue_id": message.queue_id,
        "recipient": entry.recipient,
        "status": "bounced" if late else entry.status,
        "opened": "opened" in activity,
        "clicked": "clicked" in activity,
        "replied": "replied" in activity,
        "attempts": entry.attempts,
        "reply": str(late.data.get("reply", "")) if late else str(entry.last_reply or entry.reason),
        "category": about.name if about else "",
        "guidance": " ".join(about.guidance) if about else "",
        "identity": message.policy.identity,
        "subject": message.subject,
        "campaign": message.campaign,
        "tags": list(message.tags),
        "metadata": dict(message.metadata),
    }


def _last_failure(story: Story, entry: Entry) -> Event | None:
    """Return the event that says why a recipient has no message (yet)."""
    if entry.state is State.DELIVERED:
        return None
    failed = (
        event
        for event in reversed(story.events)
        if event.kind in (Kind.BOUNCED, Kind.DEFERRED, Kind.DROPPED) and event.number == entry.number
    )
    return next(failed, None)


def _activity(story: Story, entry: Entry, proxies: Proxies) -> set[str]:
    """Return what a person did with a message, and `unopened` for a delivered one without an open."""
    events = [event for event in story.events if event.number == entry.number and not event.data.get("automatic")]
    by_readers = [event for event in events if not event.data.get("machine")]
    by_proxies = [event for event in by_readers if event.data.get("proxied")]
    counted = by_readers if proxies == "opened" else [event for event in by_readers if not event.data.get("proxied")]

    done = {name for event in counted for name in _DONE.get(event.kind, ())}
    is_unknown = proxies == "apart" and bool(by_proxies)
    came_back = late_bounce(story, entry.number) is not None
    is_unopened = entry.state is State.DELIVERED and not came_back and "opened" not in done and not is_unknown
    return done | ({"unopened"} if is_unopened else set())


@dataclass(slots=True)
class LabelCounts:
    """Recipients with one value of a label. `sent` counts all of them."""

    sent: int = 0
    delivered: int = 0
    opened: int = 0
    bounced: int = 0
    dropped: int = 0
    waiting: int = 0


def label_values(row: JsonObject, by: str) -> list[str]:
    """Return the values of a label that a row has. `by` is meta:KEY, tag, campaign or identity."""
    kind, _, key = by.partition(":")
    match kind, row["metadata"], row["tags"]:
        case "meta", dict(metadata), _:
            return [str(metadata[key])] if key in metadata else []
        case "tag", _, list(tags):
            return [str(tag) for tag in tags]
    return [str(row[by])] if row[by] else []


def count_labels(rows: Iterable[JsonObject], by: str, counts: dict[str, LabelCounts]) -> None:
    """Add rows to the counts by value of a label."""
    for row in rows:
        for value in label_values(row, by):
            one = counts.setdefault(value, LabelCounts())
            status = str(row["status"])
            name = status if status in ("delivered", "bounced", "dropped") else "waiting"
            one.sent += 1
            setattr(one, name, getattr(one, name) + 1)
            one.opened += bool(row["opened"])


def labels_json(counts: dict[str, LabelCounts], by: str) -> list[JsonObject]:
    """Return the counts in order of the values."""
    return [{by: value, **asdict(counts[value])} for value in sorted(counts)]
