"""Operator actions on entries: pure changes for `QueueAdminStore.change`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter

from relay.dsn.categories import BY_OPERATOR
from relay.dsn.compose import Action
from relay.events.event import Event, Kind
from relay.queue.changes import Changed, EntryChange
from relay.queue.due_dsns import DsnSender, build_dsn, operator_status
from relay.queue.entry import Entry, State, move
from relay.queue.message import ClaimedBatch, Message, NewMessage, owner_fields

_BY_APPLICATION = "held by the application "
"""Begin of the reason of entries that an application holds. Damaged ones, and those of an operator, have others."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who changes entries, as their reasons name it."""

    name: str = "the operator"
    is_application: bool = False
    """Whether it is restricted to senders of its own: entries that others hold stay as they are."""

    def may_end_hold(self, entry: Entry) -> bool:
        """Whether a held entry may leave that state: what an operator holds, an operator releases or ends."""
        return not self.is_application or is_held_by_application(entry)


OPERATOR = Actor()


def is_held_by_application(entry: Entry) -> bool:
    """Whether an application holds the entry, rather than an operator or a damage."""
    return entry.state is State.HELD and entry.reason.startswith(_BY_APPLICATION)


def actor_of(key: str, application: str) -> Actor:
    """Return who makes a request: a restricted credential, another key, or with neither an operator."""
    if application:
        return Actor(f"the application {application}", is_application=True)
    return Actor(f"the operator with the key {key}") if key else OPERATOR


def hold(message: Message, entry: Entry) -> tuple[Entry, Sequence[Event]] | None:
    """Keep the entry until an operator releases it."""
    return hold_by(OPERATOR)(message, entry)


def hold_by(actor: Actor) -> EntryChange:
    """Return the change that keeps entries until they are released. An operator takes those of applications over."""
    reason = f"held by {actor.name}"

    def change(_: Message, entry: Entry) -> tuple[Entry, Sequence[Event]] | None:
        if entry.state is State.HELD and entry.reason.startswith(_BY_APPLICATION) and not actor.is_application:
            return replace(entry, reason=reason), ()
        return (replace(move(entry, State.HELD), reason=reason), ()) if entry.state is State.WAITING else None

    return change


def release(now: float, actor: Actor = OPERATOR) -> EntryChange:
    """Return the change that puts held entries back into the queue. Entries past their release time are due at once."""

    def change(_: Message, entry: Entry) -> tuple[Entry, Sequence[Event]] | None:
        if entry.state is not State.HELD or not actor.may_end_hold(entry):
            return None
        return replace(move(entry, State.WAITING), next_attempt_at=max(now, entry.release_at), reason=""), ()

    return change


def flush(now: float) -> EntryChange:
    """Return the change that makes waiting entries due now. Rate limits still apply: they are checked at dispatch."""

    def change(_: Message, entry: Entry) -> tuple[Entry, Sequence[Event]] | None:
        if entry.state is not State.WAITING or entry.next_attempt_at <= now:
            return None
        return replace(entry, next_attempt_at=now), ()

    return change


def retry_after_pause(now: float, until: float) -> EntryChange:
    """Return the change for the end of a pause: entries that it deferred, or that wait for `until`, are due now."""

    def change(_: Message, entry: Entry) -> tuple[Entry, Sequence[Event]] | None:
        # A second copy is worse than a late one: an uncertain entry keeps its retry time.
        is_affected = (entry.attempts and not entry.uncertain) or entry.release_at == until
        if entry.state is not State.WAITING or not is_affected or entry.next_attempt_at <= now:
            return None
        return replace(entry, next_attempt_at=now), ()

    return change


def release_held(now: float, reason: str) -> EntryChange:
    """Return the change for the end of a pause: entries that it held back, whose reason begins so, are due now."""

    def change(_: Message, entry: Entry) -> tuple[Entry, Sequence[Event]] | None:
        if entry.state is not State.WAITING or not entry.reason.startswith(reason):
            return None
        return replace(entry, next_attempt_at=min(now, entry.next_attempt_at), release_at=0.0, reason=""), ()

    return change


def delete(now: float, actor: Actor = OPERATOR) -> EntryChange:
    """Return the change that drops entries, without a notification."""

    def change(message: Message, entry: Entry) -> tuple[Entry, Sequence[Event]] | None:
        if not _may_end(entry, actor):
            return None
        dropped = replace(move(entry, State.DROPPED), reason=f"cancelled by {actor.name}")
        return dropped, (deletion_event(message, dropped, now),)

    return change


def bounce(now: float, actor: Actor = OPERATOR) -> EntryChange:
    """Return the change that bounces entries. `bounce_reports` composes the notifications."""

    def change(message: Message, entry: Entry) -> tuple[Entry, Sequence[Event]] | None:
        if not _may_end(entry, actor):
            return None
        bounced = replace(move(entry, State.BOUNCED), reason=f"bounced by {actor.name}")
        return bounced, (bounce_event(message, bounced, now),)

    return change


def _may_end(entry: Entry, actor: Actor) -> bool:
    """Whether the actor may drop or bounce an entry."""
    return entry.state is State.WAITING or (entry.state is State.HELD and actor.may_end_hold(entry))


def bounce_event(message: Message, entry: Entry, now: float) -> Event:
    """Return the event of an entry that `bounce` ended. It is no result of an attempt, so that it has no lane."""
    own = {"reason": entry.reason, "category": BY_OPERATOR, "status": "5.0.0", "attempt": entry.attempts}
    data = owner_fields(message, entry.number) | own
    return Event(Kind.BOUNCED, now, entry.queue_id, entry.number, entry.recipient, data, message.labels)


def bounce_reports(
    changed: Changed,
    content_of: Callable[[str], bytes],
    *,
    sender: Callable[[Message], DsnSender],
    new_id: Callable[[float], str],
    now: float,
    lifetime: float,
) -> list[NewMessage]:
    """Return one notification for each message whose recipients were bounced, to a sender that wants one."""
    found: list[NewMessage] = []
    for message, several in groupby(changed, key=itemgetter(0)):
        statuses = [operator_status(one, now) for _, one in several if one.envelope_recipient.requests_dsn("FAILURE")]
        if statuses and message.reverse_path and not message.policy.unproven_sender:
            claimed = ClaimedBatch(message, content_of(message.queue_id), ())
            found.append(build_dsn(claimed, Action.FAILED, statuses, sender(message), new_id(now), now, lifetime))
    return found


def deletion_event(message: Message, entry: Entry, now: float) -> Event:
    """Return the event of an entry that `delete` dropped."""
    data = owner_fields(message, entry.number) | {"reason": entry.reason}
    return Event(Kind.DROPPED, now, entry.queue_id, entry.number, entry.recipient, data, message.labels)
