"""A suppression: an address that is sent nothing any more, and the evidence for it. Pure."""

from dataclasses import dataclass

MANUAL = "manual"
"""Reason of what an operator added or imported; all other reasons are categories of bounces, or a complaint."""


COMPLAINT = "complaint"


@dataclass(frozen=True, slots=True)
class Suppression:
    """One address. Times are Unix seconds; an `expires_at` of 0 is never."""

    address: str
    domain: str = ""
    """The sending domain that must not write to it any more; "" for all of them."""
    reason: str = MANUAL
    """`manual`, `complaint`, or the category of the bounce."""
    rule: str = ""
    """Rule that classified the reply."""
    reply: str = ""
    """What the other side said; for `manual` what the operator noted."""
    queue_id: str = ""
    """The message it happened to."""
    created_at: float = 0.0
    expires_at: float = 0.0

    @property
    def why(self) -> str:
        """Return the reason in words, for the entry that is dropped."""
        scope = f" for {self.domain}" if self.domain else ""
        return f"suppressed{scope}: {self.reason}" + (f" ({self.reply})" if self.reply else "")


@dataclass(frozen=True, slots=True)
class Evidence:
    """Something that speaks for suppressing an address: at once, or when `threshold` messages said the same."""

    suppression: Suppression
    threshold: int = 1
    late: bool = False
    """The bounce came back after the receiving server had taken the message: a later 250 does not refute it."""
