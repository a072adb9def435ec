"""Builds an accepted message: its row with the frozen policy, an entry per recipient, and their events. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from math import inf

from relay.config.settings import Settings
from relay.events.event import Event, Kind
from relay.frozen import replace
from relay.limits.priority import Flow
from relay.mail.canonical_address import canonical
from relay.mail.lane import lane_of
from relay.mail.received import mail_date, received
from relay.mail.transaction import Recipient, Transaction
from relay.policy.decide import Acceptance
from relay.policy.message_facts import MessageFacts
from relay.queue.entry import Entry, State
from relay.queue.message import Message, NewMessage, Origin, owner_fields
from relay.queue.routing import Route, provider_of
from relay.render.message_policy import MessagePolicy
from relay.submission.spam import SpamResult, Unchecked

SPAM = "spam_content"
"""Category of recipients that are dropped because a filter took the message for spam."""


def build_message(
    queue_id: str,
    transaction: Transaction,
    facts: MessageFacts,
    accepted: Acceptance,
    routes: Mapping[int, Route],
    excluded: Mapping[str, str],
    settings: Settings,
    now: float,
    origin: Origin = "",
    checked: SpamResult | Unchecked | None = None,
) -> NewMessage:
    """Build the message to store. `checked` is the result of the spam check, None if there was none.

    `routes` has the provider and time of each recipient that is not excluded, by number; `excluded` the reasons of the
    others, by canonical address. Copies come last, and are sent with the first recipient.
    """
    recipients = transaction.envelope.recipients
    default = Route(accepted.policy.provider, max(now, accepted.not_before))
    release = [routes.get(number, default) for number in range(len(recipients))]
    routed = list(zip(recipients, release, strict=True))
    copies = _copies(accepted.bcc, recipients) if accepted.bcc and routes else ()
    if copies:
        real = [route for number, route in routes.items() if number not in accepted.policy.simulated]
        first = min(real, key=lambda route: route.at, default=default)
        routed += [(copy, first) for copy in copies]
    numbers = tuple(range(len(recipients), len(routed)))
    message = _message(queue_id, transaction, facts, accepted, numbers, settings.server.hostname, now, origin)
    lifetime, latest = settings.queue.lifetime, facts.instructions.expires_at or inf
    entries = _entries(message, routed, excluded, accepted.flow, lifetime, latest, now)
    events = _created(message, entries, accepted.ignored, checked, now)
    return NewMessage(message, transaction.content, entries, events)


def _copies(bcc: Sequence[str], recipients: Sequence[Recipient]) -> tuple[Recipient, ...]:
    """Return the recipients of copies. No notification is sent about one that fails."""
    addressed = {canonical(one.address) for one in recipients}
    return tuple(Recipient(one, ("NEVER",)) for one in dict.fromkeys(bcc) if canonical(one) not in addressed)


def _message(
    queue_id: str,
    transaction: Transaction,
    facts: MessageFacts,
    accepted: Acceptance,
    copies: tuple[int, ...],
    hostname: str,
    now: float,
    origin: Origin,
) -> Message:
    envelope, session, instructions = transaction.envelope, transaction.session, facts.instructions
    message_id = _message_id(queue_id, facts, accepted, hostname)
    added = added_fields(queue_id, transaction, facts, message_id, hostname, now, accepted.fixed_reply_to)
    return Message(
        queue_id=queue_id,
        created_at=now,
        reverse_path=envelope.reverse_path,
        policy=replace(accepted.policy, copies=copies, added_fields=added),
        smtputf8=envelope.smtputf8,
        ret=envelope.ret,
        envid=envelope.envid,
        size=len(transaction.content),
        message_id=message_id,
        header_from=accepted.author,
        subject=facts.subject,
        credential=session.credential,
        client=session.client,
        campaign=instructions.campaign,
        tags=instructions.tags,
        metadata=instructions.metadata,
        origin=origin,
    )


def _message_id(queue_id: str, facts: MessageFacts, accepted: Acceptance, hostname: str) -> str:
    return facts.message_id or f"<{queue_id}@{accepted.policy.domain or hostname}>"


def fields_to_add(
    queue_id: str, transaction: Transaction, facts: MessageFacts, accepted: Acceptance, hostname: str, now: float
) -> bytes:
    """Return the fields that an accepted message gets (`added_fields`)."""
    message_id = _message_id(queue_id, facts, accepted, hostname)
    return added_fields(queue_id, transaction, facts, message_id, hostname, now, accepted.fixed_reply_to)


def added_fields(
    queue_id: str,
    transaction: Transaction,
    facts: MessageFacts,
    message_id: str,
    hostname: str,
    now: float,
    reply_to: str = "",
) -> bytes:
    """Return the fields to add: Received, Date and Message-ID when missing (RFC 6409), a Reply-To if given."""
    lines = [received(queue_id, transaction.session, transaction.envelope, hostname, now)]
    if not facts.has_date:
        lines.append(f"Date: {mail_date(now)}")
    if not facts.message_id:
        lines.append(f"Message-ID: {message_id}")
    if reply_to:
        lines.append(f"Reply-To: <{reply_to}>")
    return "\r\n".join((*lines, "")).encode("utf-8", "replace")


def _entries(
    message: Message,
    routed: Iterable[tuple[Recipient, Route]],
    excluded: Mapping[str, str],
    flow: Flow,
    lifetime: float,
    latest: float,
    now: float,
) -> tuple[Entry, ...]:
    """Return the entries. They expire after their lifetime (seconds), or at `latest` (Unix seconds)."""
    queue_id, principal, priority = message.queue_id, flow.principal, flow.priority
    entries = []
    for number, (recipient, route) in enumerate(routed):
        dropped = excluded.get(canonical(recipient.address)) if excluded else None
        entries.append(
            Entry(
                queue_id=queue_id,
                number=number,
                recipient=recipient.address,
                lane=lane_of(route.provider, recipient.address),
                created_at=now,
                expires_at=min(route.at + lifetime, latest),
                next_attempt_at=route.at,
                release_at=route.at if route.at > now else 0.0,
                state=State.WAITING if dropped is None else State.DROPPED,
                reason=route.why if dropped is None else dropped,
                notify=recipient.notify,
                orcpt=recipient.orcpt,
                principal=principal,
                priority=priority,
            )
        )
    return tuple(entries)


def _created(
    message: Message,
    entries: tuple[Entry, ...],
    ignored: Sequence[str],
    checked: SpamResult | Unchecked | None,
    now: float,
) -> tuple[Event, ...]:
    shared = _message_fields(message, ignored, checked)
    labels, policy = message.labels, message.policy
    events: list[Event] = []
    for entry in entries:
        details = owner_fields(message, entry.number) | shared
        _add_route(details, entry, policy)
        events.append(Event(Kind.CREATED, now, entry.queue_id, entry.number, entry.recipient, details, labels))

    is_spam = isinstance(checked, SpamResult) and checked.verdict == "spam"
    why: dict[str, object] = {"category": SPAM} if is_spam else {}
    for entry in entries:
        if entry.state is State.DROPPED:
            details = owner_fields(message, entry.number) | {"reason": entry.reason} | why
            events.append(Event(Kind.DROPPED, now, entry.queue_id, entry.number, entry.recipient, details, labels))
    return tuple(events)


def _message_fields(
    message: Message, ignored: Sequence[str], checked: SpamResult | Unchecked | None
) -> dict[str, object]:
    """Return the fields of the events that all recipients share."""
    shared: dict[str, object] = {
        "reverse_path": message.reverse_path,
        "message_id": message.message_id,
        "size": message.size,
        "client": message.client,
    }
    if ignored:
        shared["ignored_fields"] = list(ignored)
    if checked is not None:
        shared |= checked.event_fields
    return shared


def _add_route(fields: dict[str, object], entry: Entry, policy: MessagePolicy) -> None:
    """Add the lane of an entry, why it is not the preferred provider's, and its release time.

    Sandbox mail has the recipient in whose place it goes to another address too.
    """
    if entry.number < len(policy.original_to) and policy.original_to[entry.number]:
        fields["original_to"] = policy.original_to[entry.number]
    fields["lane"] = entry.lane
    if entry.reason and provider_of(entry.lane) != policy.provider:
        fields["way"] = entry.reason
    if entry.release_at:
        fields["release_at"] = entry.release_at
