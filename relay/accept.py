"""Accepting: the steps before 250. What is answered with 250 is on disk; everything else was never taken."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from relay.clock import Clock
from relay.config.secrets import hash_secret, verify_secret
from relay.config.settings import Settings
from relay.events.event import Event, Kind
from relay.mail.address import normal
from relay.mail.date import mail_date
from relay.mail.envelope import Envelope, Recipient
from relay.mail.instructions import InstructionError
from relay.mail.lane import lane_of
from relay.mail.reply import Reply
from relay.mail.session import ListenerKind, Session, Transaction
from relay.policy import Facts, Refuse, Route, decide, mailing_of, may_relay, may_use, must_verify, read_facts
from relay.queue.entry import Entry, State
from relay.queue.message import Accepted, Message, Policy
from relay.queue.places import reserve
from relay.queue.ports import LimitStore, Publish, QueueStore, StoreError
from relay.queue.ways import Way, way_of
from relay.suppression.exclusion import Exclusion

UNKNOWN_HASH = hash_secret("", bytes(16))
"""Compared with when there is no such credential, so that a wrong name takes as long as a wrong secret."""


@dataclass(frozen=True, slots=True)
class Accept:
    """Takes transactions of submission listeners into the queue."""

    settings: Callable[[], Settings]
    store: QueueStore
    limits: LimitStore
    exclusion: Exclusion
    clock: Clock
    new_id: Callable[[float], str]
    publish: Publish
    wake: Callable[[], None]
    """Tells the runner that something may be due."""
    is_proven: Callable[[str], bool]
    """Whether an address, or its domain, was verified."""

    def may_send(self, session: Session, envelope: Envelope) -> Reply | None:
        """Tell why this client may not start a transaction with that reverse-path, None when it may."""
        settings = self.settings()
        return may_relay(settings, session) or may_use(settings, session, envelope.reverse_path)

    def may_receive(self, session: Session, envelope: Envelope, recipient: Recipient) -> Reply | None:
        """Every address is taken: the syntax was checked, and whether it exists only its own server knows."""
        del session, envelope, recipient
        return None

    async def accept(self, transaction: Transaction) -> Reply:
        """Take the message or say why not; 250 only when it is durable. Raises StoreError when it is not."""
        settings, now = self.settings(), self.clock()
        try:
            facts = read_facts(transaction.content)
        except InstructionError as error:
            return Reply(554, "5.6.0", str(error))
        decided = decide(settings, transaction.session, transaction.envelope, facts, now)
        if isinstance(decided, Refuse):
            return decided.reply
        unverified = must_verify(settings, transaction.envelope, facts, self.is_proven)
        if unverified is not None:
            return unverified
        queue_id = self.new_id(now)
        message = _message(queue_id, transaction, facts, decided, settings.server.hostname, now)
        recipients = transaction.envelope.recipients
        mailing = mailing_of(settings, decided.domain, facts.instructions.campaign)
        excluded = await self.exclusion.reasons([one.address for one in recipients], mailing, now)
        reserved = [n for n, one in enumerate(recipients) if normal(one.address) not in excluded]
        earliest = max(now, decided.not_before)
        ways = await reserve(self.limits, queue_id, reserved, decided.ledgers, earliest)
        lifetime = settings.queue.lifetime
        last = max((way.at for way in ways.values()), default=earliest)
        if last > earliest + lifetime:
            await self.limits.forget(queue_id, reserved)
            return _over_limit(decided, last, now)
        none_asked = Way(decided.provider, earliest)
        release = [ways.get(number, none_asked) for number in range(len(recipients))]
        entries = _entries(message, recipients, release, excluded, lifetime, now)
        accepted = Accepted(
            message, transaction.content, entries, _created(message, entries, facts.instructions.unknown, now)
        )
        try:
            await self.store.enqueue(accepted)
        except StoreError:
            await self.limits.forget(queue_id, reserved)
            raise
        self.publish(accepted.events)
        self.wake()
        return Reply(250, "2.0.0", f"Ok: queued as {queue_id}")


def store_trouble(error: StoreError) -> Reply:
    """Return the reply to give while nothing can be made durable (RFC 3463: 4.3.1 full, 4.3.0 other)."""
    if error.full:
        return Reply(452, "4.3.1", "Insufficient system storage, try again later")
    return Reply(451, "4.3.0", "The queue cannot store mail at the moment, try again later")


def _over_limit(route: Route, release_at: float, now: float) -> Reply:
    who = route.identity or next(key for ledgers in route.ledgers.values() for key in ledgers)
    hours = (release_at - now) / 3600
    return Reply(
        451,
        "4.7.1",
        f"Sending limit of {who} is used up for longer than the queue keeps mail ({hours:.0f} h): try again later",
    )


def _message(queue_id: str, transaction: Transaction, facts: Facts, route: Route, hostname: str, now: float) -> Message:
    envelope, session, asked = transaction.envelope, transaction.session, facts.instructions
    message_id = facts.message_id or f"<{queue_id}@{route.domain or hostname}>"
    policy = Policy(
        domain=route.domain,
        identity=route.identity,
        tracking=route.tracking,
        return_path=route.return_path,
        provider=route.provider,
        fallback_providers=route.fallback_providers,
        author_name=route.author_name,
        list_unsubscribe=route.list_unsubscribe,
        added_fields=added_fields(queue_id, transaction, facts, message_id, hostname, now),
    )
    return Message(
        queue_id=queue_id,
        created_at=now,
        reverse_path=envelope.reverse_path,
        policy=policy,
        smtputf8=envelope.smtputf8,
        ret=envelope.ret,
        envid=envelope.envid,
        size=len(transaction.content),
        message_id=message_id,
        header_from=facts.header_from,
        subject=facts.subject,
        credential=session.credential,
        client=session.client,
        campaign=asked.campaign,
        tags=asked.tags,
        metadata=asked.metadata,
    )


def added_fields(
    queue_id: str, transaction: Transaction, facts: Facts, message_id: str, hostname: str, now: float
) -> bytes:
    """Return the fields put in front: Received (RFC 5321 section 4.4), Date and Message-ID when missing (RFC 6409)."""
    lines = [received(queue_id, transaction.session, transaction.envelope, hostname, now)]
    if not facts.has_date:
        lines.append(f"Date: {mail_date(now)}")
    if not facts.message_id:
        lines.append(f"Message-ID: {message_id}")
    return "".join(f"{line}\r\n" for line in lines).encode("utf-8", "replace")


def received(queue_id: str, session: Session, envelope: Envelope, hostname: str, now: float) -> str:
    """Return our trace field; it names the recipient only when there is one, so that none learns of another."""
    literal = f"IPv6:{session.client}" if ":" in session.client else session.client
    only = f"\r\n\tfor <{envelope.recipients[0].address}>" if len(envelope.recipients) == 1 else ""
    return (
        f"Received: from {session.helo or 'unknown'} ([{literal}])\r\n"
        f"\tby {hostname} (relay) with {_with(session, envelope)} id {queue_id}{only};\r\n\t{mail_date(now)}"
    )


def _with(session: Session, envelope: Envelope) -> str:
    """Return the protocol of the transmission (RFC 3848, RFC 6531 section 4.3)."""
    secured = ("S" if session.tls else "") + ("A" if session.credential else "")
    if envelope.smtputf8:
        return f"UTF8SMTP{secured}"
    return f"ESMTP{secured}" if session.extended else "SMTP"


def _entries(
    message: Message,
    recipients: tuple[Recipient, ...],
    release: Sequence[Way],
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
        for number, (recipient, way) in enumerate(zip(recipients, release, strict=True))
    )
    return tuple(
        entry if reason is None else replace(entry, state=State.DROPPED, reason=reason)
        for entry in entries
        for reason in [excluded.get(normal(entry.recipient))]
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


def _route_of(entry: Entry, policy: Policy) -> dict[str, object]:
    """Return which way an entry goes, why it is not the first, and what it waits for."""
    told: dict[str, object] = {"lane": entry.lane}
    if way_of(entry.lane) != policy.provider and entry.reason:
        told["way"] = entry.reason
    return told | ({"release_at": entry.release_at} if entry.release_at else {})


class Door(Protocol):
    """What one kind of listener does with a client: submission, or what comes back from the world."""

    def may_send(self, session: Session, envelope: Envelope) -> Reply | None:
        """Return the refusal of MAIL, None to go on."""

    def may_receive(self, session: Session, envelope: Envelope, recipient: Recipient) -> Reply | None:
        """Return the refusal of RCPT, None to go on."""

    async def accept(self, transaction: Transaction) -> Reply:
        """Take the message or say why not. Raises StoreError when it could not be made durable."""


@dataclass(frozen=True, slots=True)
class Reception:
    """Leads each client to its door, and knows the credentials."""

    settings: Callable[[], Settings]
    doors: Mapping[ListenerKind, Door]
    trouble: Callable[[StoreError], None]
    """Hears that a message could not be made durable."""

    async def authenticate(self, session: Session, username: str, secret: str) -> str | None:  # noqa: ARG002
        """Return the name of the credential when the secret is right, None otherwise, in the same time.

        Hashing runs in a thread: a slow hash must not keep other clients waiting.
        """
        credential = self.settings().credentials.get(username)
        secret_hash = UNKNOWN_HASH if credential is None else credential.secret_hash.get_secret_value()
        right = await asyncio.to_thread(verify_secret, secret_hash, secret)
        return username if right and credential is not None else None

    def may_send(self, session: Session, envelope: Envelope) -> Reply | None:
        """Return the refusal of MAIL, None to go on."""
        return self.doors[session.kind].may_send(session, envelope)

    def may_receive(self, session: Session, envelope: Envelope, recipient: Recipient) -> Reply | None:
        """Return the refusal of RCPT, None to go on."""
        return self.doors[session.kind].may_receive(session, envelope, recipient)

    async def accept(self, transaction: Transaction) -> Reply:
        """Take the message or say why not."""
        try:
            return await self.doors[transaction.session.kind].accept(transaction)
        except StoreError as error:
            self.trouble(error)
            return store_trouble(error)
