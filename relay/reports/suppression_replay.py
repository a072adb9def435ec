"""Replay of suppressions: what today's rules make of the evidence that each row has. Pure."""

from dataclasses import dataclass
from typing import Literal

from relay.config.settings import Settings
from relay.dsn.categories import CATEGORIES
from relay.dsn.classify import classify
from relay.events.event import Kind
from relay.mail.canonical_address import canonical
from relay.mail.queue_id import is_queue_id, time_of
from relay.queue.bounce_policy import BouncePolicy
from relay.queue.entry import Entry
from relay.reports.ports import Story
from relay.suppression.model import COMPLAINT, MANUAL, Suppression, own_scope, session_scope

_HARMLESS = ("never", "keep")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What today's rules make of a row: it stays, is lifted, or counts for a narrower `scope`."""

    step: Literal["keep", "lift", "narrow"]
    why: str
    scope: str = ""


def replay(settings: Settings, policy: BouncePolicy, row: Suppression, story: Story | None) -> Verdict:
    """Judge a row by today's rules; `story` is its message, None when it is forgotten or unknown."""
    if row.reason == MANUAL or row.provenance in ("operator", "import"):
        return Verdict("keep", "added by an operator")
    return (
        _by_reason(policy, row)
        or (_by_time(settings, row) if story is None else _by_message(settings, row, story))
        or Verdict("keep", "the evidence counts today too")
    )


def _by_reason(policy: BouncePolicy, row: Suppression) -> Verdict | None:
    """Lift a row whose category, or whose reply as today's rules classify it, does not suppress."""
    if row.reason == COMPLAINT:
        return None
    category = CATEGORIES.get(row.reason)
    if category is None or category.suppression in _HARMLESS:
        return Verdict("lift", f"replies of the category {row.reason} do not suppress")
    meaning = classify(policy.rules, row.reply) if row.reply else None
    if meaning is not None and meaning.category != "unknown" and meaning.about.suppression in _HARMLESS:
        return Verdict("lift", f"its reply is of the category {meaning.category}, which does not suppress")
    return None


def _by_time(settings: Settings, row: Suppression) -> Verdict:
    """Judge a row without a message: evidence that came after the message was forgotten proves nothing."""
    if is_queue_id(row.queue_id) and row.created_at > time_of(row.queue_id) + settings.queue.retention:
        return Verdict("lift", "its message was forgotten when the evidence came: anybody may have sent it")
    if row.provenance:
        return Verdict("keep", "its message is forgotten; the evidence was proven when it came")
    return Verdict("keep", "its message is forgotten: the evidence cannot be evaluated again")


def _by_message(settings: Settings, row: Suppression, story: Story) -> Verdict | None:
    """Judge a row by its message: its recipient, and for whose mail the evidence counts."""
    entry = next((one for one in story.entries if canonical(one.recipient) == canonical(row.address)), None)
    if entry is None:
        return Verdict("lift", "its message has no such recipient")
    if not entry.may_have_arrived:
        return Verdict("lift", "its message was not sent to the address")

    scope = _scope(settings, row, story, entry)
    if scope is None:
        return Verdict("lift", "a provider of one sender refused it, and the sender has no domain")
    if scope and not row.domain:
        return Verdict("narrow", f"the evidence proves nothing for mail of others than {scope}", scope)
    return None


def _scope(settings: Settings, row: Suppression, story: Story, entry: Entry) -> str | None:
    """Return the scope that the evidence has today. Of old rows it is only known whether the bounce came by mail."""
    policy = story.message.policy
    in_session = row.provenance == "session" or (
        not row.provenance
        and row.reason != COMPLAINT
        and any(
            one.kind is Kind.BOUNCED and one.number == entry.number and not one.data.get("late") for one in story.events
        )
    )
    if in_session:
        return session_scope(settings, entry.lane, policy.domain, policy.identity)
    return row.domain if row.provenance else own_scope(settings, policy.domain, policy.identity)
