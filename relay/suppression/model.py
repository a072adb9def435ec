"""A suppression: an address excluded from sending, the evidence for it, and its scope. Pure.

The scope is for whose mail an address is suppressed. What a sender can bring about itself suppresses an address for
that sender only. A report with a signed address proves only that a reader has a copy of the message. A provider of one
domain speaks for that domain.
"""

from dataclasses import dataclass, replace
from typing import Literal, get_args

from relay.config.settings import Settings
from relay.mail.canonical_address import canonical, canonical_domain
from relay.mail.lane import BUILT_IN, split_lane

MANUAL = "manual"
"""Reason of a row that an operator added or imported; other reasons are bounce categories or a complaint."""

COMPLAINT = "complaint"

EVERYWHERE = ""
"""Scope of evidence that holds for the mail of all senders."""

Provenance = Literal["", "operator", "import", "session", "signed-address", "report", "mailbox", "cc"]
"""How evidence came: by a reply in a session of this relay, a report to a signed address, or an authenticated report.

Or by the bounce mailbox, or the CC tracking address of an identity. "" is for rows of a version that did not record it.
"""

PROVENANCES: tuple[Provenance, ...] = get_args(Provenance)


@dataclass(frozen=True, slots=True)
class Suppression:
    """One suppressed address. Times are Unix seconds; `expires_at` 0 means never."""

    address: str
    domain: str = ""
    """Sending domain or identity that must not write to the address; "" for all mail."""
    reason: str = MANUAL
    """`manual`, `complaint`, or the category of the bounce."""
    rule: str = ""
    """Rule that classified the reply."""
    reply: str = ""
    """Reply of the remote server; for `manual` the operator's note."""
    queue_id: str = ""
    """Queue id of the message that bounced or was complained about."""
    created_at: float = 0.0
    expires_at: float = 0.0
    probation: str = ""
    """Queue id of the message that tests the address after the end of the suppression, "" for none."""
    provenance: Provenance = ""
    proof: str = ""
    """What authenticates the evidence, in words."""

    def state(self, now: float) -> Literal["suppressed", "probation", "ended"]:
        """Return whether mail is dropped, one message at a time is sent, or all of it is. Manual rows simply end."""
        if not self.expires_at or now < self.expires_at:
            return "suppressed"
        return "ended" if self.reason == MANUAL else "probation"

    @property
    def why(self) -> str:
        """Reason in words, for the dropped entry."""
        scope = f" for {self.domain}" if self.domain else ""
        return f"suppressed{scope}: {self.reason}" + (f" ({self.reply})" if self.reply else "")


@dataclass(frozen=True, slots=True)
class Evidence:
    """Evidence for suppressing an address: at once, or after `threshold` messages with the same result."""

    suppression: Suppression
    threshold: int = 1
    late: bool = False
    """The bounce came after the receiving server accepted the message: a later 250 does not clear it."""
    unproven: str = ""
    """Why it proves nothing, "" if it does. Unproven evidence is recorded and shown, and suppresses no address."""


@dataclass(frozen=True, slots=True)
class Unproven:
    """Unproven evidence, which suppresses no address, and why it is unproven."""

    suppression: Suppression
    why: str
    times: int = 1
    """How often such evidence came; the other fields are of the last time."""


def after_bounce(listed: Suppression, found: Suppression) -> Suppression | None:
    """Return the row that replaces a listed one after a further bounce, None if the listed one stays.

    The later end counts. After its end a suppression is renewed for at least twice its length.
    """
    if not listed.expires_at:
        return None
    if not found.expires_at or listed.state(found.created_at) == "ended":
        return found
    if listed.state(found.created_at) == "suppressed":
        return found if found.expires_at > listed.expires_at else None
    length = max(found.expires_at - found.created_at, 2 * (listed.expires_at - listed.created_at))
    return replace(found, expires_at=found.created_at + length)


def canonical_scope(text: str) -> str:
    """Return the scope that an operator wrote, a domain or an identity, in canonical form."""
    return canonical(text) if "@" in text else canonical_domain(text)


def own_scope(settings: Settings, domain: str, identity: str) -> str:
    """Return the scope of one sender: its domain; at the domain that all customers share, its identity.

    "" for a sender without a domain, for which nothing narrower than EVERYWHERE can be named.
    """
    shared = canonical_domain(settings.server.identities_domain)
    return identity if identity and shared and domain == shared else domain


def session_scope(settings: Settings, lane: str, domain: str, identity: str) -> str | None:
    """Return the scope of a reply in a session of this lane, None for no scope.

    The servers of a recipient's domain and the providers of `[defaults]` are believed for all mail.
    """
    provider = split_lane(lane)[0]
    if provider in (*BUILT_IN, settings.defaults.provider, *settings.defaults.fallback_providers):
        return EVERYWHERE
    return own_scope(settings, domain, identity) or None
