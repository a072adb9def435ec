"""Settling: from the outcomes of an attempt to new entries, events and notifications. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from relay.dsn.compose import Action, OriginalMessage, RecipientStatus, compose
from relay.events.event import Event, Kind
from relay.mail.address import is_ascii
from relay.mail.canonical import canonical
from relay.mail.lane import DIRECT, lane_of
from relay.mail.reply import Reply
from relay.queue.bounce_policy import BouncePolicy, Disposition, Judged, disposition, event_fields, guidance_text
from relay.queue.entry import Entry, State, StateError, move
from relay.queue.message import ALERT, ClaimedBatch, Message, NewMessage, Settlement
from relay.queue.outcome import Deferred, Delivered, Outcome
from relay.queue.retry import RetrySchedule, next_attempt
from relay.render.message_policy import MessagePolicy
from relay.suppression.model import Evidence, Suppression

_FORGED = frozenset({"spam_content", "virus", "auth_failed"})
"""Categories of refused mail whose reverse-path is often forged."""


UNCERTAIN_PATIENCE = 2
"""Attempts that one of uncertain outcome counts as in the schedule: a second copy is worse than a late one."""


LARGEST_RETURNED = 1 << 20
"""Octets: the largest message that RET=FULL returns whole. Of a larger one, the header is returned."""


@dataclass(frozen=True, slots=True)
class DsnSender:
    """The sender of notifications, and the provider that carries them."""

    hostname: str
    provider: str = DIRECT
    domain: str = ""
    """Sending domain whose keys sign notifications, "" for none."""
    fallback_providers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AttemptInfo:
    """The circumstances of one attempt."""

    started_at: float
    now: float
    jitter: float
    """In [-1, 1]."""
    notes: dict[str, object]
    """Notes of rendering for the events, empty when nothing was rendered."""


def settle(
    claimed: ClaimedBatch,
    judged: Sequence[Judged],
    attempt: AttemptInfo,
    schedule: RetrySchedule,
    origin: DsnSender,
    report_ids: Iterator[str],
    policy: BouncePolicy,
) -> Settlement:
    """Return the new entries, their events, the evidence against addresses, and the notifications due.

    `judged` has one outcome for each claimed entry, in order. Mail with a null reverse-path never gets a notification
    (RFC 3464 section 2), other mail only the kinds in the recipient's NOTIFY (RFC 3461 section 4.1).
    """
    settled = [
        _settle_one(entry, one, disposition(one, entry.attempts + 1), attempt, schedule)
        for entry, one in zip(claimed.entries, judged, strict=True)
    ]
    entries, notices = _notices(claimed.message, settled, judged, attempt, schedule)
    reports = tuple(
        build_dsn(claimed, action, fates, origin, next(report_ids), attempt.now)
        for action, fates in notices
        if claimed.message.reverse_path
    )
    evidence = tuple(
        found
        for after, one in zip(entries, judged, strict=True)
        if after.state is State.BOUNCED and claimed.message.reverse_path
        for found in _evidence(after, one, attempt, policy)
    )
    return Settlement(tuple(entries), _all_events(claimed, entries, judged, attempt), reports, evidence)


def settle_minimal(
    claimed: ClaimedBatch, judged: Sequence[Judged], attempt: AttemptInfo, schedule: RetrySchedule
) -> Settlement:
    """Return the least result of an attempt, for when `settle` raises: delivered entries are final, all others wait.

    There is no notification and no evidence: the next attempt meets the same refusal, and settles it.
    """
    unclassified = [Judged(one.outcome) for one in judged]
    entries = [
        move(_tried(entry, one.outcome), State.DELIVERED)
        if isinstance(one.outcome, Delivered)
        else _put_off(_tried(entry, one.outcome), one.outcome, attempt, schedule, at_least=0.0)
        for entry, one in zip(claimed.entries, unclassified, strict=True)
    ]
    return Settlement(tuple(entries), _all_events(claimed, entries, unclassified, attempt))


def _settle_one(
    entry: Entry, judged: Judged, fate: Disposition, attempt: AttemptInfo, schedule: RetrySchedule
) -> Entry:
    outcome, tried = judged.outcome, _tried(entry, judged.outcome)
    match fate.step:
        case "deliver":
            return move(tried, State.DELIVERED)
        case "drop":
            return replace(
                move(tried, State.DROPPED), reason=f"the other side has suppressed the address: {outcome.reply}"
            )
        case "bounce":
            return move(tried, State.BOUNCED)
        case "retry" if attempt.now >= entry.expires_at:
            return replace(
                move(tried, State.BOUNCED), reason=f"not delivered within {schedule.lifetime / 3600:g} hours"
            )
        case "retry":
            return _put_off(tried, outcome, attempt, schedule, fate.at_least)
        case never:
            assert_never(never)


def _tried(entry: Entry, outcome: Outcome) -> Entry:
    """Return the entry after one more attempt, its state still undecided."""
    return replace(
        entry,
        attempts=entry.attempts + 1,
        last_reply=outcome.reply,
        last_remote=outcome.remote,
        uncertain=False,
        reason="",
    )


def _put_off(tried: Entry, outcome: Outcome, attempt: AttemptInfo, schedule: RetrySchedule, at_least: float) -> Entry:
    """Return the entry waiting for its next attempt."""
    uncertain = isinstance(outcome, Deferred) and outcome.uncertain
    attempts = tried.attempts + (UNCERTAIN_PATIENCE - 1 if uncertain else 0)
    due = next_attempt(schedule, attempts, attempt.now, tried.expires_at, attempt.jitter, at_least)
    return replace(move(tried, State.WAITING), next_attempt_at=due, uncertain=uncertain)


def _evidence(entry: Entry, judged: Judged, attempt: AttemptInfo, policy: BouncePolicy) -> tuple[Evidence, ...]:
    """Return the evidence of a bounced entry against its address."""
    reply, meaning = entry.last_reply, judged.meaning
    if meaning is None:
        return ()
    found = Suppression(
        canonical(entry.recipient), "", meaning.category, meaning.rule, str(reply or ""), entry.queue_id, attempt.now
    )
    return policy.evidence(meaning, found, permanent=reply is not None and reply.is_permanent)


def _would_be_backscatter(message: Message, judged: Judged) -> bool:
    """Return whether a notification may reach somebody else: the reverse-path of spam is often forged."""
    meaning = judged.meaning
    return bool(message.policy.forward_domain) and meaning is not None and meaning.category in _FORGED


def _notices(
    message: Message,
    settled: Sequence[Entry],
    judged: Sequence[Judged],
    attempt: AttemptInfo,
    schedule: RetrySchedule,
) -> tuple[list[Entry], list[tuple[Action, list[RecipientStatus]]]]:
    """Group the recipients that want a notification by its kind, and mark those with a delay notice."""
    fates: dict[Action, list[RecipientStatus]] = {Action.FAILED: [], Action.DELAYED: [], Action.RELAYED: []}
    entries: list[Entry] = []
    for entry, one in zip(settled, judged, strict=True):
        marked = entry
        wants = entry.envelope_recipient.wants
        if entry.state is State.BOUNCED and wants("FAILURE") and not _would_be_backscatter(message, one):
            fates[Action.FAILED].append(_fate(entry, one, attempt))
        elif isinstance(one.outcome, Delivered) and not one.outcome.dsn_passed_on and wants("SUCCESS"):
            fates[Action.RELAYED].append(_fate(entry, one, attempt))
        elif _delay_is_due(entry, attempt.now, schedule):
            marked = replace(entry, delay_notified=True)
            fates[Action.DELAYED].append(replace(_fate(entry, one, attempt), retry_until=entry.expires_at))
        entries.append(marked)
    return entries, [(action, found) for action, found in fates.items() if found]


def _delay_is_due(entry: Entry, now: float, schedule: RetrySchedule) -> bool:
    """A delay is reported once, after `delay_notice`, when NOTIFY=DELAY asked for it."""
    waited_long = schedule.delay_notice > 0 and now - max(entry.created_at, entry.release_at) >= schedule.delay_notice
    return entry.state is State.WAITING and not entry.delay_notified and waited_long and "DELAY" in entry.notify


def _fate(entry: Entry, judged: Judged, attempt: AttemptInfo) -> RecipientStatus:
    reply = entry.last_reply or Reply(451, "4.4.7", "no attempt was answered")
    if entry.state is State.BOUNCED and entry.reason:
        reply = Reply(reply.code, "4.4.7", f"{entry.reason}; the last reply was: {reply}")
    explanation = guidance_text(judged.meaning.about) if judged.meaning else ""
    return RecipientStatus(entry.recipient, reply, entry.orcpt, entry.last_remote, attempt.now, explanation=explanation)


def _whose(message: Message) -> dict[str, object]:
    """Return the identity and sending domain, which stand in every event of a message."""
    alert = {ALERT: message.metadata[ALERT]} if ALERT in message.metadata else {}
    return {"identity": message.policy.identity, "domain": message.policy.domain, **alert}


def _all_events(
    claimed: ClaimedBatch, entries: Sequence[Entry], judged: Sequence[Judged], attempt: AttemptInfo
) -> tuple[Event, ...]:
    whose = _whose(claimed.message)
    return tuple(
        event
        for before, after, one in zip(claimed.entries, entries, judged, strict=True)
        for event in _events(before, after, one, attempt, whose)
    )


def _events(
    before: Entry, after: Entry, judged: Judged, attempt: AttemptInfo, whose: dict[str, object]
) -> Iterator[Event]:
    outcome, meaning = judged.outcome, judged.meaning
    lane = whose | {"lane": after.lane} | ({"way": before.reason} if before.reason else {})
    if before.attempts == 0:
        yield Event(Kind.PROCESSED, attempt.started_at, after.queue_id, after.number, after.recipient, lane)

    kind, particular = _ending(after, judged)
    data = lane | {
        "attempt": after.attempts,
        "remote": after.last_remote,
        "reply": str(outcome.reply),
        "status": outcome.reply.status,
        "delay": round(attempt.now - after.created_at, 3),
        **attempt.notes,
        **(event_fields(meaning) if meaning else {}),
        **({} if isinstance(outcome, Delivered) or not outcome.phase else {"phase": outcome.phase}),
        **particular,
    }
    yield Event(kind, attempt.now, after.queue_id, after.number, after.recipient, data)


def _ending(after: Entry, judged: Judged) -> tuple[Kind, dict[str, object]]:
    """Return the kind of the event that ends an attempt, and the fields of that kind alone."""
    match after.state:
        case State.DELIVERED:
            return Kind.DELIVERED, {}
        case State.BOUNCED:
            advice: dict[str, object] = {"guidance": guidance_text(judged.meaning.about)} if judged.meaning else {}
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


def build_dsn(
    claimed: ClaimedBatch,
    action: Action,
    fates: Sequence[RecipientStatus],
    origin: DsnSender,
    report_id: str,
    now: float,
) -> NewMessage:
    """Return the notification as a new message for the queue: null reverse-path, one recipient."""
    about: Message = claimed.message
    full = about.ret == "FULL" and action is Action.FAILED and len(claimed.content) <= LARGEST_RETURNED
    original = OriginalMessage(about.queue_id, about.reverse_path, about.created_at, claimed.content, about.envid, full)
    content = compose(action, original, fates, hostname=origin.hostname, report_id=report_id, now=now)
    policy = MessagePolicy(domain=origin.domain, provider=origin.provider, fallback_providers=origin.fallback_providers)
    message = Message(
        queue_id=report_id,
        created_at=now,
        reverse_path="",
        policy=policy,
        smtputf8=not is_ascii(about.reverse_path),
        size=len(content),
        message_id=f"<{report_id}@{origin.hostname}>",
        header_from=f"MAILER-DAEMON@{origin.hostname}",
        subject=f"DSN {action} {about.queue_id}",
        metadata={"dsn_for": about.queue_id},
    )
    entry = Entry(
        queue_id=report_id,
        number=0,
        recipient=about.reverse_path,
        lane=lane_of(origin.provider, about.reverse_path),
        created_at=now,
        expires_at=now + max(claimed.entries[0].expires_at - claimed.entries[0].created_at, 0.0),
        next_attempt_at=now,
        notify=("NEVER",),
    )
    created = Event(
        Kind.CREATED,
        now,
        report_id,
        0,
        about.reverse_path,
        {"dsn_for": about.queue_id, "lane": entry.lane, "action": str(action)},
    )
    return NewMessage(message, content, (entry,), (created,))
