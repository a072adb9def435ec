"""Settling: what an attempt's outcomes mean for entries, events and notifications. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from relay.dsn.compose import Action, OriginalMessage, RecipientStatus, compose
from relay.events.event import Event, Kind
from relay.mail.address import is_ascii
from relay.mail.canonical import canonical
from relay.mail.lane import DIRECT, lane_of
from relay.mail.reply import Reply
from relay.queue.bounce_policy import BouncePolicy, Disposition, event_fields, guidance_text
from relay.queue.entry import Entry, State, StateError, move
from relay.queue.message import ALERT, ClaimedBatch, Message, MessagePolicy, NewMessage, Settlement
from relay.queue.outcome import Deferred, Delivered, Outcome
from relay.queue.retry import RetrySchedule, next_attempt
from relay.suppression.model import Evidence, Suppression

_FORGED = frozenset({"spam_content", "virus", "auth_failed"})
"""Reasons to refuse mail that seldom comes from whom it names."""


UNCERTAIN_PATIENCE = 2
"""An attempt that may have succeeded waits as long as two failed ones: a second copy is worse than a late one."""


LARGEST_RETURNED = 1 << 20
"""Octets of a message that is returned whole where RET=FULL asks for that; of a larger one the header is."""


@dataclass(frozen=True, slots=True)
class DsnSender:
    """Who notifications come from and which way they go."""

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
    """What rendering did, for the story; empty when nothing was rendered."""


def settle(
    claimed: ClaimedBatch,
    outcomes: Sequence[Outcome],
    attempt: AttemptInfo,
    schedule: RetrySchedule,
    origin: DsnSender,
    report_ids: Iterator[str],
    judge: BouncePolicy,
) -> Settlement:
    """Return the new entries, their events, what speaks against addresses, and the notifications due.

    `outcomes` has one outcome for each claimed entry, in order. A notification is never sent about mail with a null
    reverse-path (RFC 3464 section 2), and only of the kinds the recipient's NOTIFY asks for (RFC 3461 section 4.1).
    """
    verdicts = [
        None if isinstance(outcome, Delivered) else judge.disposition(outcome, entry.attempts + 1, entry.lane)
        for entry, outcome in zip(claimed.entries, outcomes, strict=True)
    ]
    settled = [
        _settle_one(entry, outcome, verdict, attempt, schedule)
        for entry, outcome, verdict in zip(claimed.entries, outcomes, verdicts, strict=True)
    ]
    entries, notices = _notices(claimed.message, settled, outcomes, verdicts, attempt, schedule)
    reports = tuple(
        build_dsn(claimed, action, fates, origin, next(report_ids), attempt.now)
        for action, fates in notices
        if claimed.message.reverse_path
    )
    events = [
        event
        for before, after, outcome, verdict in zip(claimed.entries, entries, outcomes, verdicts, strict=True)
        for event in _events(before, after, outcome, verdict, attempt, _whose(claimed.message))
    ]
    evidence = [
        one
        for after, verdict in zip(entries, verdicts, strict=True)
        if verdict is not None and after.state is State.BOUNCED and claimed.message.reverse_path
        for one in _evidence(after, verdict, attempt, judge)
    ]
    return Settlement(tuple(entries), tuple(events), reports, tuple(evidence))


def settle_minimal(
    claimed: ClaimedBatch, outcomes: Sequence[Outcome], attempt: AttemptInfo, schedule: RetrySchedule
) -> Settlement:
    """Return the least an attempt comes to, for when `settle` raises: what was taken is delivered, the rest waits.

    Nobody is notified and no address blamed: a refusal is met again at the next attempt, and told then.
    """
    entries = tuple(
        move(_tried(entry, outcome), State.DELIVERED)
        if isinstance(outcome, Delivered)
        else _put_off(_tried(entry, outcome), outcome, attempt, schedule, at_least=0.0)
        for entry, outcome in zip(claimed.entries, outcomes, strict=True)
    )
    events = tuple(
        event
        for before, after, outcome in zip(claimed.entries, entries, outcomes, strict=True)
        for event in _events(before, after, outcome, None, attempt, _whose(claimed.message))
    )
    return Settlement(entries, events)


def _settle_one(
    entry: Entry, outcome: Outcome, verdict: Disposition | None, attempt: AttemptInfo, schedule: RetrySchedule
) -> Entry:
    tried = _tried(entry, outcome)
    if verdict is None:
        return move(tried, State.DELIVERED)
    if verdict.step == "drop":
        return replace(move(tried, State.DROPPED), reason=f"the other side has suppressed the address: {outcome.reply}")
    if verdict.step == "bounce":
        return move(tried, State.BOUNCED)
    if attempt.now >= entry.expires_at:
        return replace(move(tried, State.BOUNCED), reason=f"not delivered within {schedule.lifetime / 3600:g} hours")
    return _put_off(tried, outcome, attempt, schedule, verdict.at_least)


def _tried(entry: Entry, outcome: Outcome) -> Entry:
    """Return the entry after one more attempt, its state not decided yet."""
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


def _evidence(entry: Entry, verdict: Disposition, attempt: AttemptInfo, judge: BouncePolicy) -> tuple[Evidence, ...]:
    """Return what a bounced entry says against its address."""
    reply, meaning = entry.last_reply, verdict.meaning
    found = Suppression(
        canonical(entry.recipient), "", meaning.category, meaning.rule, str(reply or ""), entry.queue_id, attempt.now
    )
    return judge.evidence(meaning, found, permanent=reply is not None and reply.is_permanent)


def _would_be_backscatter(message: Message, verdict: Disposition | None) -> bool:
    """Tell whether the notification would go to somebody who sent nothing: what is refused as spam names anybody."""
    return bool(message.policy.forward_domain) and verdict is not None and verdict.meaning.category in _FORGED


def _notices(
    message: Message,
    settled: list[Entry],
    outcomes: Sequence[Outcome],
    verdicts: Sequence[Disposition | None],
    attempt: AttemptInfo,
    schedule: RetrySchedule,
) -> tuple[list[Entry], list[tuple[Action, list[RecipientStatus]]]]:
    """Sort the recipients who want a notification by its kind; mark those who get a delay notice."""
    fates: dict[Action, list[RecipientStatus]] = {Action.FAILED: [], Action.DELAYED: [], Action.RELAYED: []}
    entries: list[Entry] = []
    for entry, outcome, verdict in zip(settled, outcomes, verdicts, strict=True):
        marked = entry
        wants = entry.envelope_recipient.wants
        if entry.state is State.BOUNCED and wants("FAILURE") and not _would_be_backscatter(message, verdict):
            fates[Action.FAILED].append(_fate(entry, verdict, attempt))
        elif isinstance(outcome, Delivered) and not outcome.dsn_passed_on and wants("SUCCESS"):
            fates[Action.RELAYED].append(_fate(entry, verdict, attempt))
        elif _delay_is_due(entry, attempt.now, schedule):
            marked = replace(entry, delay_notified=True)
            fates[Action.DELAYED].append(replace(_fate(entry, verdict, attempt), retry_until=entry.expires_at))
        entries.append(marked)
    return entries, [(action, found) for action, found in fates.items() if found]


def _delay_is_due(entry: Entry, now: float, schedule: RetrySchedule) -> bool:
    """A delay is reported once, after `delay_notice`, when NOTIFY=DELAY asked for it."""
    waited_long = schedule.delay_notice > 0 and now - max(entry.created_at, entry.release_at) >= schedule.delay_notice
    return entry.state is State.WAITING and not entry.delay_notified and waited_long and "DELAY" in entry.notify


def _fate(entry: Entry, verdict: Disposition | None, attempt: AttemptInfo) -> RecipientStatus:
    reply = entry.last_reply or Reply(451, "4.4.7", "no attempt was answered")
    if entry.state is State.BOUNCED and entry.reason:
        reply = Reply(reply.code, "4.4.7", f"{entry.reason}; the last reply was: {reply}")
    explanation = guidance_text(verdict.meaning.about) if verdict else ""
    return RecipientStatus(entry.recipient, reply, entry.orcpt, entry.last_remote, attempt.now, explanation=explanation)


def _whose(message: Message) -> dict[str, object]:
    """Return whose message it is, for every line about it."""
    alert = {ALERT: message.metadata[ALERT]} if ALERT in message.metadata else {}
    return {"identity": message.policy.identity, "domain": message.policy.domain, **alert}


def _events(
    before: Entry,
    after: Entry,
    outcome: Outcome,
    verdict: Disposition | None,
    attempt: AttemptInfo,
    whose: dict[str, object],
) -> Iterator[Event]:
    lane = whose | {"lane": after.lane} | ({"way": before.reason} if before.reason else {})
    if before.attempts == 0:
        yield Event(Kind.PROCESSED, attempt.started_at, after.queue_id, after.number, after.recipient, lane)
    kind, particular = _ending(after, verdict)
    data = lane | {
        "attempt": after.attempts,
        "remote": after.last_remote,
        "reply": str(outcome.reply),
        "status": outcome.reply.status,
        "delay": round(attempt.now - after.created_at, 3),
        **attempt.notes,
        **(event_fields(verdict.meaning) if verdict else {}),
        **({} if isinstance(outcome, Delivered) or not outcome.phase else {"phase": outcome.phase}),
        **particular,
    }
    yield Event(kind, attempt.now, after.queue_id, after.number, after.recipient, data)


def _ending(after: Entry, verdict: Disposition | None) -> tuple[Kind, dict[str, object]]:
    """Return the kind of event an attempt ends in, and what only that kind says."""
    match after.state:
        case State.DELIVERED:
            return Kind.DELIVERED, {}
        case State.BOUNCED:
            guidance: dict[str, object] = {"guidance": guidance_text(verdict.meaning.about)} if verdict else {}
            return Kind.BOUNCED, guidance | ({"status": "4.4.7", "reason": after.reason} if after.reason else {})
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
    """Return the notification as a message of its own, ready for the queue: null reverse-path, one recipient."""
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
