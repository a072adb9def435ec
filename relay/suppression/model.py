"""A suppression: an address excluded from sending, and the evidence for it. Pure."""

from dataclasses import dataclass

MANUAL = "manual"
"""Reason of a row that an operator added or imported; other reasons are bounce categories or a complaint."""


COMPLAINT = "complaint"


@dataclass(frozen=True, slots=True)
class Suppression:
    """One suppressed address. Times are Unix seconds; `expires_at` 0 means never."""

    address: str
    domain: str = ""
    """Sending domain that must not write to the address; "" for all domains."""
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
