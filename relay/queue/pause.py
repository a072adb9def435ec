"""Pauses of lanes, senders, campaigns, domains and sites, and the queued mail that they hold back. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from relay.mail.canonical_address import domain_of
from relay.mail.reply import Reply
from relay.queue.entry import Entry
from relay.queue.message import Message, Settlement
from relay.queue.outcome import Deferred
from relay.queue.routing import Route, provider_of, reschedule

HeldKind = Literal["identity", "sending-domain", "campaign", "domain", "site", "provider"]
"""What can be paused. `domain` is one of recipients."""

_HELD_KINDS: tuple[HeldKind, ...] = ("identity", "sending-domain", "campaign", "domain", "site")

HOLD = "hold"
"""Category of a pause by which an operator holds mail back: it is accepted, and waits."""

HOLD_BY_APPLICATION = "application-hold"
"""Category of such a pause that an application made, of its own identity or domain. Applications end no other."""

_HOLDS = frozenset({HOLD, HOLD_BY_APPLICATION})

WAIT = 900.0
"""Seconds after which a held entry is checked again, at most; a resumption makes it due at once."""

BY_OPERATOR = "operator"
"""Category of the pause of an identity that an operator made."""

BY_APPLICATION = "application"
"""Category of the pause of an identity that its application made. Applications end no other pause."""

BLOCKED_SITE = "site-blocked"
"""Category of the pause of a site that refuses mail of several domains."""


@dataclass(frozen=True, slots=True)
class Pause:
    """The pause of a lane, a sender, a campaign, a recipient domain or a site. Times are Unix seconds."""

    subject: str
    """The name of a lane ("mx:example.net", "provider:newsletter"), or kind and value ("identity:a@example.com")."""
    at: float
    until: float
    """0: until an operator resumes it."""
    why: str
    """The reply that caused the pause, or the reason in words."""
    category: str = ""
    """Bounce category of the reply; for an identity "bounces", "complaints", "operator" or "application".

    "hold" or "application-hold" if mail is held back.
    """
    settings: str = ""
    """Digest of the settings of the provider that was paused; a change may be the repair. "" for other subjects."""

    def holds(self, now: float) -> bool:
        """Whether the pause is in force."""
        return not self.until or now < self.until

    @property
    def is_of_lane(self) -> bool:
        """Whether it is a finding about a lane: its entries take a fallback, or the failure of the lane."""
        return self.category not in _HOLDS and not self.subject.startswith(tuple(f"{kind}:" for kind in _HELD_KINDS))

    @property
    def is_refusing(self) -> bool:
        """Whether new mail of the identity is refused temporarily."""
        return bool(self.identity) and self.category not in _HOLDS

    @property
    def identity(self) -> str:
        """The address of the paused identity, "" for another subject."""
        kind, _, value = self.subject.partition(":")
        return value if kind == "identity" else ""

    @property
    def is_shared(self) -> bool:
        """Whether it holds back mail of several senders: its cause may be a reply to the mail of one of them."""
        return self.subject.startswith(("domain:", "provider:", "site:"))

    @property
    def reason(self) -> str:
        """The reason of entries that the pause holds back, which their senders read."""
        return self.reason_prefix if self.is_shared else self.full_reason

    @property
    def full_reason(self) -> str:
        """The reason with its cause."""
        return f"{self.reason_prefix}: {self.why}"

    @property
    def reason_prefix(self) -> str:
        """The beginning of the reason, by which a resumption finds the entries."""
        kind, _, value = self.subject.partition(":")
        return "its identity is paused" if kind == "identity" else f"its {kind.replace('-', ' ')} {value} is paused"


def identity_subject(address: str) -> str:
    """Return the subject of the pause of an identity, given its canonical address."""
    return subject_of("identity", address)


def subject_of(kind: HeldKind, value: str) -> str:
    """Return the subject of the pause of this kind."""
    return f"{kind}:{value}"


def paused_outcome(why: str) -> Deferred:
    """Return the outcome of attempts in a paused lane; `why` is the reply that caused the pause."""
    return Deferred(Reply(451, "4.7.1", f"delivery is paused after: {why}"))


def hold_subjects(message: Message, entry: Entry, site: str) -> Iterable[str]:
    """Yield the subjects whose pause holds an entry back. `site` is "" for one that is not known.

    Pauses of senders and campaigns apply to mail of applications, not to tests, notifications and forwarded mail.
    """
    if not message.origin:
        if message.policy.identity:
            yield subject_of("identity", message.policy.identity)
        if message.policy.domain:
            yield subject_of("sending-domain", message.policy.domain)
        if message.campaign:
            yield subject_of("campaign", message.campaign)
    yield subject_of("domain", domain_of(entry.recipient))
    yield subject_of("provider", provider_of(entry.lane))
    if site:
        yield subject_of("site", site)


def held_back(held: Sequence[tuple[Entry, Pause]], now: float) -> Settlement:
    """Return the settlement by which the entries wait, without an attempt. They keep their lifetime."""
    return Settlement(tuple(_held(entry, pause, now) for entry, pause in held))


def _held(entry: Entry, pause: Pause, now: float) -> Entry:
    until = min(now + WAIT, pause.until) if pause.until else now + WAIT
    return reschedule(entry, Route(provider_of(entry.lane), until, pause.reason), now)
