"""What is stored of a message that is taken: its row with the policy frozen, an entry each, their events. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from relay.config.settings import Settings
from relay.events.event import Event, Kind
from relay.mail.canonical import canonical
from relay.mail.lane import lane_of
from relay.mail.received import mail_date, received
from relay.mail.transaction import Recipient, Transaction
from relay.policy import Acceptance, MessageFacts
from relay.queue.entry import Entry, State
from relay.queue.message import Message, MessagePolicy, NewMessage
from relay.queue.routing import Route, provider_of


def build_message(
    queue_id: str,
    transaction: Transaction,
    facts: MessageFacts,
    route: Acceptance,
    ways: Mapping[int, Route],
    excluded: Mapping[str, str],
    settings: Settings,
    now: float,
) -> NewMessage:
    """Return what is stored.

    `ways` has the way of each recipient that is not excluded, by its number; `excluded` says why others are, by their
    canonical address. Copies come last, and leave with the first recipient that does.
    """
    recipients = transaction.envelope.recipients
    none_asked = Route(route.provider, max(now, route.not_before))
    release = [ways.get(number, none_asked) for number in range(len(recipients))]
    copies = _copies(route, recipients) if ways else ()
    first = min(ways.values(), key=lambda way: way.at, default=none_asked)
    numbers = tuple(range(len(recipients), len(recipients) + len(copies)))
    message = _message(queue_id, transaction, facts, route, numbers, settings.server.hostname, now)
    leaving = zip((*recipients, *copies), (*release, *(first for _ in copies)), strict=True)
    entries = _entries(message, leaving, excluded, settings.queue.lifetime, now)
    return NewMessage(
        message, transaction.content, entries, _created(message, entries, facts.instructions.unknown, now)
    )


def _copies(route: Acceptance, recipients: Sequence[Recipient]) -> tuple[Recipient, ...]:
    """Return who gets a copy beside the recipients; nobody is told when one fails."""
    addressed = {canonical(one.address) for one in recipients}
    return tuple(Recipient(one, ("NEVER",)) for one in dict.fromkeys(route.copies) if canonical(one) not in addressed)


def _message(
    queue_id: str,
    transaction: Transaction,
    facts: MessageFacts,
    route: Acceptance,
    copies: tuple[int, ...],
    hostname: str,
    now: float,
) -> Message:
    envelope, session, asked = transaction.envelope, transaction.session, facts.instructions
    message_id = facts.message_id or f"<{queue_id}@{route.domain or hostname}>"
    added = added_fields(queue_id, transaction, facts, message_id, hostname, now, route.replies.fixed)
    return Message(
        queue_id=queue_id,
        created_at=now,
        reverse_path=envelope.reverse_path,
        policy=_policy(route, copies, added),
        smtputf8=envelope.smtputf8,
        ret=envelope.ret,
        envid=envelope.envid,
        size=len(transaction.content),
        message_id=message_id,
        header_from=route.author,
        subject=facts.subject,
        credential=session.credential,
        client=session.client,
        campaign=asked.campaign,
        tags=asked.tags,
        metadata=asked.metadata,
    )


def _policy(route: Acceptance, copies: tuple[int, ...], added: bytes) -> MessagePolicy:
    """Return what is frozen of the route, for as long as the message lives."""
    return MessagePolicy(
        domain=route.domain,
        identity=route.identity,
        tracking=route.tracking,
        return_path=route.return_path,
        provider=route.provider,
        fallback_providers=route.fallback_providers,
        author_name=route.author_name,
        list_unsubscribe=route.list_unsubscribe,
        reply_domain=route.replies.domain,
        reply_to=route.replies.home,
        copies=copies,
        added_fields=added,
    )


def added_fields(
    queue_id: str,
    transaction: Transaction,
    facts: MessageFacts,
    message_id: str,
    hostname: str,
    now: float,
    reply_to: str = "",
) -> bytes:
    """Return the fields put in front: Received, Date and Message-ID when missing (RFC 6409), a Reply-To if given."""
    lines = [received(queue_id, transaction.session, transaction.envelope, hostname, now)]
    if not facts.has_date:
        lines.append(f"Date: {mail_date(now)}")
    if not facts.message_id:
        lines.append(f"Message-ID: {message_id}")
    if reply_to:
        lines.append(f"Reply-To: <{reply_to}>")
    return "".join(f"{line}\r\n" for line in lines).encode("utf-8", "replace")


def _entries(
    message: Message,
    leaving: Iterable[tuple[Recipient, Route]],
    excluded: Mapping[str, str],
    lifetime: float,
    now: float,
) -> tuple[Entry, ...]:
    entries = (
        Entry(
            queue_id=message.queue_id,
            number=number,
            recipient=recipient.address,
            lane=lane_of(way.provider, recipient.address),
            created_at=now,
            expires_at=way.at + lifetime,
            next_attempt_at=way.at,
            release_at=way.at if way.at > now else 0.0,
            reason=way.why,
            notify=recipient.notify,
            orcpt=recipient.orcpt,
        )
        for number, (recipient, way) in enumerate(leaving)
    )
    return tuple(
        entry if reason is None else replace(entry, state=State.DROPPED, reason=reason)
        for entry in entries
        for reason in [excluded.get(canonical(entry.recipient))]
    )


def _created(message: Message, entries: tuple[Entry, ...], unknown: tuple[str, ...], now: float) -> tuple[Event, ...]:
    shared: dict[str, object] = {
        "reverse_path": message.reverse_path,
        "message_id": message.message_id,
        "identity": message.policy.identity,
        "domain": message.policy.domain,
        "size": message.size,
        "client": message.client,
    }
    if unknown:
        shared["ignored_fields"] = list(unknown)
    created = [
        Event(
            Kind.CREATED,
            now,
            entry.queue_id,
            entry.number,
            entry.recipient,
            shared | _route_of(entry, message.policy),
        )
        for entry in entries
    ]
    whose = {"identity": message.policy.identity, "domain": message.policy.domain}
    dropped = [
        Event(Kind.DROPPED, now, entry.queue_id, entry.number, entry.recipient, whose | {"reason": entry.reason})
        for entry in entries
        if entry.state is State.DROPPED
    ]
    return (*created, *dropped)


def _route_of(entry: Entry, policy: MessagePolicy) -> dict[str, object]:
    """Return which way an entry goes, why it is not the first, and what it waits for."""
    told: dict[str, object] = {"lane": entry.lane} | ({"copy": True} if entry.number in policy.copies else {})
    if provider_of(entry.lane) != policy.provider and entry.reason:
        told["way"] = entry.reason
    return told | ({"release_at": entry.release_at} if entry.release_at else {})
