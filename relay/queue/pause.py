"""Pauses of lanes and identities, as the store keeps them. Pure."""

from dataclasses import dataclass

from relay.mail.reply import Reply
from relay.queue.outcome import Deferred

_IDENTITY = "identity:"

IDENTITY_PAUSED = "its identity is paused: "
"""Beginning of the reason of entries that the pause of an identity holds back."""


@dataclass(frozen=True, slots=True)
class Pause:
    """The pause of a lane or an identity. Times are Unix seconds."""

    subject: str
    """The name of a lane ("mx:example.net", "provider:newsletter"), or "identity:" and the address."""
    at: float
    until: float
    """0: until an operator resumes it."""
    why: str
    """The reply that caused the pause, or the reason in words."""
    category: str = ""
    """Bounce category of the reply, or "bounces", "complaints", "operator" for an identity."""
    settings: str = ""
    """Digest of the settings of the provider that was paused; a change may be the repair. "" for other subjects."""

    def holds(self, now: float) -> bool:
        """Whether the pause is in force."""
        return not self.until or now < self.until

    @property
    def identity(self) -> str:
        """The address of the paused identity, "" for a lane."""
        return self.subject.removeprefix(_IDENTITY) if self.subject.startswith(_IDENTITY) else ""


def identity_subject(address: str) -> str:
    """Return the subject of the pause of an identity, given its canonical address."""
    return f"{_IDENTITY}{address}"


def paused_outcome(why: str) -> Deferred:
    """Return the outcome of attempts in a paused lane; `why` is the reply that caused the pause."""
    return Deferred(Reply(451, "4.7.1", f"delivery is paused after: {why}"))
