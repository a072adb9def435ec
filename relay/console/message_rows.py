"""Messages as rows of a list. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from relay.console.formats import counted
from relay.dsn.categories import CATEGORIES
from relay.events.event import Event, Kind
from relay.queue.entry import Entry
from relay.reports.ports import Story
from relay.reports.serialize import late_bounce

_ORDER = ("bounced", "held", "deferred", "dropped", "processed", "created", "delivered")
"""Statuses of the recipients of one message, the one that needs most attention first."""

_LABELS = 3
"""Labels that a row shows, at most."""


@dataclass(frozen=True, slots=True)
class MessageRow:
    """One message of a list."""

    queue_id: str
    accepted_at: float
    title: str
    notes: str
    statuses: Sequence[str]
    recipient: str
    others: int
    """Recipients beside the first one."""
    sender: str
    seen: str


def message_row(story: Story) -> MessageRow:
    """Return the row of a message."""
    message, entries = story.message, [one for one in story.entries if one.number not in story.message.policy.copies]
    statuses = {status_of(story, entry) for entry in entries}
    ordered = sorted(statuses, key=_ORDER.index)
    shown = next((one for one in entries if status_of(story, one) == ordered[0]), None) if ordered else None
    return MessageRow(
        queue_id=message.queue_id,
        accepted_at=message.created_at,
        title=message.subject or "(no subject)",
        notes=" · ".join(_notes(story, shown)),
        statuses=ordered,
        recipient=shown.recipient if shown else "",
        others=max(len(entries) - 1, 0),
        sender=message.header_from or message.reverse_path or "(no sender)",
        seen=_seen(story),
    )


def status_of(story: Story, entry: Entry) -> str:
    """Return the status of a recipient; one that bounced after its delivery is bounced."""
    return "bounced" if late_bounce(story, entry.number) else entry.status


def _notes(story: Story, shown: Entry | None) -> Sequence[str]:
    """Return why the recipient has no message yet, and the labels of the message."""
    message = story.message
    notes = []
    if shown is not None and (why := why_of(story, shown)):
        notes.append(why)
    if message.origin:
        notes.append(f"sent by this relay ({message.origin})")
    if message.campaign:
        notes.append(f"campaign {message.campaign}")
    labels = [*(f"{key}={value}" for key, value in message.metadata.items()), *(f"#{tag}" for tag in message.tags)]
    rest = len(labels) - _LABELS
    return [*notes, *labels[:_LABELS], *([counted(rest, "more label")] if rest > 0 else [])]


def why_of(story: Story, entry: Entry) -> str:
    """Return in a few words why a recipient has no message: category and code, or the reason; "" if it has one."""
    late = late_bounce(story, entry.number)
    if status_of(story, entry) not in ("bounced", "deferred", "dropped", "held"):
        return ""
    failure = late or last_failure(story, entry)
    about = CATEGORIES.get(str(failure.data.get("category", ""))) if failure else None
    code = " ".join(str(failure.data.get("reply", "")).split()[:2]) if failure and about else ""
    if about and about.name != "unknown":
        return f"{about.title} · {code}" if code else about.title
    return entry.reason or (str(entry.last_reply) if entry.last_reply else "")


def last_failure(story: Story, entry: Entry) -> Event | None:
    """Return the last failure of a recipient, None without one."""
    return story.last_failures.get(entry.number)


def _seen(story: Story) -> str:
    """Return what readers did with the message, "" for nothing."""
    readers = [event for event in story.events if event.kind in (Kind.OPEN, Kind.CLICK)]
    people = [event for event in readers if not event.data.get("machine")]
    clicks = sum(event.kind is Kind.CLICK for event in people)
    if people:
        return f"Opened, clicked {clicks}×" if clicks else "Opened"
    if readers:
        return "Machine only"
    return "Not tracked" if story.message.policy.tracking is None and not story.message.origin else ""
