"""Accepting: the steps before 250. What is answered with 250 is on disk; everything else was never taken."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from relay.clock import Clock
from relay.config.secret_hash import hash_secret, verify_secret
from relay.config.settings import Settings
from relay.limits.ports import LimitStore
from relay.mail.address import normal
from relay.mail.authors import AuthorError
from relay.mail.control_headers import InstructionError
from relay.mail.reply import Reply
from relay.mail.transaction import Envelope, ListenerKind, Recipient, Session, Transaction
from relay.policy import Refuse, Route, decide, mailing_of, may_relay, may_use, must_verify, read_facts
from relay.queue.ports import Publish, QueueStore, StoreError
from relay.submission.build import compose
from relay.submission.reserve import reserve
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
        except (AuthorError, InstructionError) as error:
            return Reply(554, "5.6.0", str(error))
        decided = decide(settings, transaction.session, transaction.envelope, facts, now)
        if isinstance(decided, Refuse):
            return decided.reply
        unverified = must_verify(settings, facts, self.is_proven)
        if unverified is not None:
            return unverified
        queue_id = self.new_id(now)
        recipients = transaction.envelope.recipients
        mailing = mailing_of(settings, decided.domain, facts.instructions.campaign)
        addresses = [*(one.address for one in recipients), *decided.copies]
        excluded = await self.exclusion.reasons(addresses, mailing, now)
        reserved = [n for n, one in enumerate(recipients) if normal(one.address) not in excluded]
        earliest = max(now, decided.not_before)
        try:
            ways = await reserve(self.limits, queue_id, reserved, decided.ledgers, earliest)
            last = max((way.at for way in ways.values()), default=earliest)
            if last > earliest + settings.queue.lifetime:
                await self.limits.forget(queue_id, reserved)
                return _over_limit(decided, last, now)
            accepted = compose(queue_id, transaction, facts, decided, ways, excluded, settings, now)
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
