"""Settling: turns the outcomes of an attempt into new entries, events and evidence. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, assert_never

from relay.events.event import Event, Kind
from relay.frozen import dataclass
from relay.mail.canonical_address import canonical
from relay.queue.bounce_policy import BouncePolicy, Classified, Disposition, disposition, event_fields
from relay.queue.due_dsns import DsnSender, PendingDsn, due_dsns
from relay.queue.entry import Entry, State, StateError, move
from relay.queue.message import ClaimedBatch, Settlement, owner_fields
from relay.queue.outcome import Deferred, Delivered, Outcome
from relay.queue.retry import RetrySchedule, next_attempt
from relay.suppression.model import Evidence, Suppression

UNCERTAIN_WEIGHT = 2
"""Attempts that an uncertain one counts as in the retry schedule: a second copy is worse than a late one."""


@dataclass(frozen=True, slots=True)
class AttemptInfo:
    """The circumstances of one attempt."""

    started_at: float
    now: float
    jitter: float
    """Random number in [-1, 1]."""
    notes: dict[str, object]
    """Notes of rendering for the events, empty when nothing was rendered."""


def settle(
    claimed: ClaimedBatch,
    classified: Sequence[Classified],
    attempt: AttemptInfo,
    schedule: RetrySchedule,
    sender: DsnSender,
    report_ids: Iterator[str],
    policy: BouncePolicy,
    scope: str | None,
) -> Settlement:
    """Return the new entries, their events, the evidence against addresses, and the notifications due.

    `classified` has one outcome for each claimed entry, in order. Evidence counts for the sending domain or identity
    `scope`, "" for all mail; for None there is none. Mail with a null reverse-path causes no notification (RFC 3464
    section 2). Other mail causes the kinds in the recipient's NOTIFY (RFC 3461 section 4.1).
    """
    settled = [
        _settle_one(entry, one, disposition(one, entry.attempts + 1), attempt, schedule)
        for entry, one in zip(claimed.entries, classified, strict=True)
    ]

    entries, dsns = due_dsns(claimed.message, settled, classified, attempt.now, schedule)
    pending = tuple(
        PendingDsn(claimed, action, tuple(statuses), sender, next(report_ids), attempt.now, schedule.lifetime)
        for action, statuses in dsns
        if claimed.message.reverse_path
    )
    evidence = tuple(
        found
        for after, one in zip(entries, classified, strict=True)
        if after.state is State.BOUNCED and claimed.message.reverse_path
        for found in _evidence(after, one, attempt, policy, scope)
    )
    return Settlement(tuple(entries), _all_events(claimed, entries, classified, attempt), (), evidence, pending)


def is_plain_delivery(claimed: ClaimedBatch, classified: Sequence[Classified]) -> bool:
    """Whether every entry was delivered, and no sender asks for a notification: `settle_minimal` says all of it."""
    return all(
        isinstance(one.outcome, Delivered) and not entry.notify
        for entry, one in zip(claimed.entries, classified, strict=True)
    )


def settle_minimal(
    claimed: ClaimedBatch, classified: Sequence[Classified], attempt: AttemptInfo, schedule: RetrySchedule
) -> Settlement:
    """Return a minimal settlement, for most deliveries, and for when `settle` raises.

    Delivered entries are final, all others are deferred. It has no notification and no evidence. The next attempt gets
    the same refusal, and settles it.
    """
    unclassified = [one if one.meaning is None else Classified(one.outcome) for one in classified]
    entries = [
        move(entry, State.DELIVERED, **_tried(entry, one.outcome))
        if isinstance(one.outcome, Delivered)
        else _deferred(entry, one.outcome, attempt, schedule, at_least=0.0)
        for entry, one in zip(claimed.entries, unclassified, strict=True)
    ]
    return Settlement(tuple(entries), _all_events(claimed, entries, unclassified, attempt))


def plain(settlement: Settlement) -> Settlement:
    """Return the settlement without evidence and without the data of its events, for when it cannot be written.

    The states of its entries and the notifications are unchanged; texts that came from outside are removed.
    """
    entries = tuple(replace(entry, last_reply=None, last_remote="") for entry in settlement.entries)
    events = tuple(
        Event(event.kind, event.at, event.queue_id, event.number, event.address, {"plain": True})
        for event in settlement.events
    )
    return Settlement(entries, events, settlement.reports, (), settlement.dsns)


def _settle_one(
    entry: Entry, classified: Classified, decision: Disposition, attempt: AttemptInfo, schedule: RetrySchedule
) -> Entry:
    outcome = classified.outcome
    match decision.step:
        case "deliver":
            return move(entry, State.DELIVERED, **_tried(entry, outcome))
        case "drop":
            reason = f"the provider has suppressed the address: {outcome.reply}"
            return move(entry, State.DROPPED, **_tried(entry, outcome, reason))
        case "bounce":
            return move(entry, State.BOUNCED, **_tried(entry, outcome))
        case "retry" if attempt.now >= entry.expires_at:
            reason = f"not delivered within {schedule.lifetime / 3600:g} hours"
            return move(entry, State.BOUNCED, **_tried(entry, outcome, reason))
        case "retry":
            return _deferred(entry, outcome, attempt, schedule, decision.at_least)
        case never:
            assert_never(never)


def _tried(entry: Entry, outcome: Outcome, reason: str = "") -> dict[str, Any]:
    """Return the changes of an entry by one more attempt, without its state."""
    return {
        "attempts": entry.attempts + 1,
        "last_reply": outcome.reply,
        "last_remote": outcome.remote,
        "uncertain": False,
        "reason": reason,
    }


def _deferred(entry: Entry, outcome: Outcome, attempt: AttemptInfo, schedule: RetrySchedule, at_least: float) -> Entry:
    """Return the entry as waiting for its next attempt."""
    uncertain = isinstance(outcome, Deferred) and outcome.uncertain
    attempts = entry.attempts + (UNCERTAIN_WEIGHT if uncertain else 1)
    due = next_attempt(schedule, attempts, attempt.now, entry.expires_at, attempt.jitter, at_least)
    changes = _tried(entry, outcome) | {"next_attempt_at": due, "uncertain": uncertain}
    return move(entry, State.WAITING, **changes)


def _evidence(
    entry: Entry, classified: Classified, attempt: AttemptInfo, policy: BouncePolicy, scope: str | None
) -> tuple[Evidence, ...]:
    """Return the evidence of a bounced entry against its address."""
    reply, meaning = entry.last_reply, classified.meaning
    if meaning is None or scope is None:
        return ()
    found = Suppression(
        canonical(entry.recipient),
        scope,
        meaning.category,
        meaning.rule,
        str(reply or ""),
        entry.queue_id,
        attempt.now,
        provenance="session",
        proof=entry.last_remote or "found by this relay",
    )
    return policy.evidence(meaning, found, permanent=reply is not None and reply.is_permanent)


def _all_events(
    claimed: ClaimedBatch, entries: Sequence[Entry], classified: Sequence[Classified], attempt: AttemptInfo
) -> tuple[Event, ...]:
    message, labels = claimed.message, claimed.message.labels
    events: list[Event] = []
    for before, after, one in zip(claimed.entries, entries, classified, strict=True):
        events += _events(before, after, one, attempt, owner_fields(message, after.number), labels)
    return tuple(events)


def _events(
    before: Entry,
    after: Entry,
    classified: Classified,
    attempt: AttemptInfo,
    sender_fields: dict[str, object],
    labels: dict[str, object],
) -> list[Event]:
    outcome, meaning = classified.outcome, classified.meaning
    lane = {**sender_fields, "lane": after.lane}
    if before.reason:
        lane["way"] = before.reason
    data = {
        **lane,
        "attempt": after.attempts,
        "remote": after.last_remote,
        "reply": str(outcome.reply),
        "status": outcome.reply.status,
        "delay": round(attempt.now - after.created_at, 3),
        **attempt.notes,
    }
    if meaning:
        data |= event_fields(meaning)
    if not isinstance(outcome, Delivered) and outcome.phase:
        data["phase"] = outcome.phase
    kind, specific = _final_event(after, classified)
    data |= specific
    last = Event(kind, attempt.now, after.queue_id, after.number, after.recipient, data, labels)
    if before.attempts:
        return [last]
    first = Event(Kind.PROCESSED, attempt.started_at, after.queue_id, after.number, after.recipient, lane, labels)
    return [first, last]


def _final_event(after: Entry, classified: Classified) -> tuple[Kind, dict[str, object]]:
    """Return the kind of the event that ends an attempt, and the fields of that kind."""
    match after.state:
        case State.DELIVERED:
            return Kind.DELIVERED, {}
        case State.BOUNCED:
            advice: dict[str, object] = {"guidance": classified.meaning.guidance} if classified.meaning else {}
            return Kind.BOUNCED, advice | ({"status": "4.4.7", "reason": after.reason} if after.reason else {})
        case State.DROPPED:
            return Kind.DROPPED, {"reason": after.reason}
        case State.WAITING:
            uncertain: dict[str, object] = {"uncertain": True} if after.uncertain else {}
            return Kind.DEFERRED, {"next_attempt_at": after.next_attempt_at} | uncertain
        case State.HELD | State.ACTIVE:
            raise StateError(f"{after.queue_id}: an attempt cannot end in {after.state}")
        case _:
            assert_never(after.state)
