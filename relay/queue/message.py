"""A message in the queue, and the values in which it is enqueued, claimed and settled."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import field, replace
from typing import Literal, Protocol

from relay.content_file import UnreadContent
from relay.dsn.transaction_addresses import TransactionAddresses
from relay.events.event import Event, Kind
from relay.frozen import dataclass
from relay.mail.canonical_address import canonical
from relay.mail.lane import lane_of
from relay.mail.transaction import Notify, Recipient, network_of
from relay.queue.entry import Entry, State
from relay.render.message_policy import MessagePolicy
from relay.suppression.model import Evidence

Origin = Literal["", "dsn", "alert", "test", "forward"]
"""Why this relay made a message itself; "" marks mail of applications."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message row. The content is stored separately: it is large, and deleted when every entry is final."""

    queue_id: str
    created_at: float
    reverse_path: str
    policy: MessagePolicy = field(default_factory=MessagePolicy)
    smtputf8: bool = False
    ret: Literal["", "FULL", "HDRS"] = ""
    envid: str = ""
    size: int = 0
    message_id: str = ""
    header_from: str = ""
    subject: str = ""
    credential: str = ""
    client: str = ""
    campaign: str = ""
    """Name of the campaign; "" marks a transactional message."""
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    origin: Origin = ""

    @property
    def labels(self) -> dict[str, object]:
        """Campaign, tags and metadata, those that are set: what log lines are joined by."""
        if not (self.campaign or self.tags or self.metadata):
            return {}
        labels = {"campaign": self.campaign, "tags": self.tags, "metadata": self.metadata}
        return {name: value for name, value in labels.items() if value}


@dataclass(frozen=True, slots=True)
class SubmissionKey:
    """The idempotency key of a submission: the store takes one message with it, and refuses a second one."""

    owner: str
    """Credential, else the client."""
    key_hash: str
    request: str
    """Digest of what was submitted."""
    valid_since: float
    """Unix seconds: the same key from before is not valid any more."""


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A new message with content, entries and events, to be stored in one transaction."""

    message: Message
    content: bytes
    entries: tuple[Entry, ...]
    events: tuple[Event, ...] = ()
    key: SubmissionKey | None = None


@dataclass(frozen=True, slots=True)
class ReturnedMail:
    """Returned mail about one recipient. It is stored as a whole, or ignored as a whole when its event is stored."""

    event: Event
    evidence: tuple[Evidence, ...] = ()
    """Evidence against addresses."""
    forwards: tuple[NewMessage, ...] = ()
    """The mail itself, to be forwarded."""


@dataclass(frozen=True, slots=True)
class ClaimedBatch:
    """Entries of one message in one lane, leased to this process for an attempt."""

    message: Message
    content: bytes | UnreadContent
    """Left in the store if it is large, or if too many contents are in memory."""
    entries: tuple[Entry, ...]
    damage: str = ""
    """Why the stored message must not be sent, "" if it is what was accepted. The content is empty with a damage."""

    @property
    def addresses(self) -> TransactionAddresses:
        """The addresses by which a reply says whom it is about."""
        message, policy = self.message, self.message.policy
        addresses = (message.reverse_path, message.header_from, policy.bounce_address)
        domains = (policy.return_path, policy.forward_domain, policy.reply_domain)
        return TransactionAddresses.of(addresses, domains, [entry.recipient for entry in self.entries])

    @property
    def transactions(self) -> int:
        """Number of mail transactions that it takes: one for each recipient with octets of its own, else one."""
        number = len(self.entries)
        return number if number > 1 and self.message.policy.is_per_recipient else 1


class DueDsn(Protocol):
    """A notification that is due, to be composed from the entries that were really updated."""

    def build(self, numbers: Collection[int]) -> NewMessage | None:
        """Return the notification about those of its recipients that have these numbers, None if it has none."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """The changes of one attempt: entries, events and DSNs, applied in one transaction or not at all."""

    entries: tuple[Entry, ...]
    events: tuple[Event, ...] = ()
    reports: tuple[NewMessage, ...] = ()
    """Composed notifications."""
    evidence: tuple[Evidence, ...] = ()
    """Evidence for suppressing the recipients."""
    dsns: tuple[DueDsn, ...] = ()
    """Notifications that the transaction composes."""

    @property
    def is_delivery(self) -> bool:
        """Whether every entry was delivered."""
        return all(entry.state is State.DELIVERED for entry in self.entries)

    def composed(self) -> "Settlement":
        """Return the settlement with its notifications composed from its entries."""
        numbers = {entry.number for entry in self.entries}
        built = (one.build(numbers) for one in self.dsns)
        return replace(self, reports=(*self.reports, *(one for one in built if one is not None)), dsns=())

    def only(self, kept: Collection[tuple[str, int]]) -> "Settlement":
        """Return the settlement of those entries (queue id, number): the others were not updated."""
        entries = tuple(entry for entry in self.entries if (entry.queue_id, entry.number) in kept)
        if len(entries) == len(self.entries):
            return self
        lost = [entry for entry in self.entries if (entry.queue_id, entry.number) not in kept]
        keys = {(entry.queue_id, entry.number) for entry in lost}
        addresses = {canonical(entry.recipient) for entry in lost} - {canonical(entry.recipient) for entry in entries}
        return replace(
            self,
            entries=entries,
            events=tuple(event for event in self.events if (event.queue_id, event.number) not in keys),
            reports=self.reports if entries else (),
            evidence=tuple(one for one in self.evidence if one.suppression.address not in addresses),
            dsns=self.dsns if entries else (),
        )


NOTHING_SETTLED = Settlement(())
"""A settlement without entries."""

ALERT = "alert"
"""Metadata key of alerts. Its value is the cause."""

NO_DSN: tuple[Notify, ...] = ("NEVER",)
"""NOTIFY of recipients whose failures are not reported (RFC 3461 section 4.1)."""


def own_message(
    message: Message,
    content: bytes,
    recipients: Sequence[Recipient],
    *,
    lifetime: float,
    about: Mapping[str, object],
    details: Mapping[str, object] | None = None,
) -> NewMessage:
    """Build a message of the relay itself (DSN, alert, provider test, forward) with its entries and events.

    The entries are due at once, by the provider of the policy, and expire after `lifetime` seconds. The events
    "created" hold `about`, lane, origin and the `details`. The network of the client, if there is one, is accountable.
    """
    entries = tuple(
        _own_entry(message, number, recipient, message.created_at + lifetime)
        for number, recipient in enumerate(recipients)
    )
    events = tuple(
        Event(
            Kind.CREATED,
            message.created_at,
            message.queue_id,
            one.number,
            one.recipient,
            {**about, "lane": one.lane, "origin": message.origin, **(details or {})},
        )
        for one in entries
    )
    return NewMessage(replace(message, size=len(content)), content, entries, events)


def _own_entry(message: Message, number: int, recipient: Recipient, expires_at: float) -> Entry:
    return Entry(
        queue_id=message.queue_id,
        number=number,
        recipient=recipient.address,
        lane=lane_of(message.policy.provider, recipient.address),
        created_at=message.created_at,
        expires_at=expires_at,
        next_attempt_at=message.created_at,
        notify=recipient.notify,
        orcpt=recipient.orcpt,
        principal=f"network:{network_of(message.client)}" if message.client else "",
    )


def owner_fields(message: Message, number: int) -> dict[str, object]:
    """Return what stands in every event about a recipient: identity, domain, and the marks of own mail and copies."""
    fields: dict[str, object] = {"identity": message.policy.identity, "domain": message.policy.domain}
    if message.origin:
        fields["origin"] = message.origin
        if ALERT in message.metadata:
            fields[ALERT] = message.metadata[ALERT]
    if number in message.policy.copies:
        fields["copy"] = True
    if message.policy.is_simulated(number):
        fields["simulated"] = True
    return fields
