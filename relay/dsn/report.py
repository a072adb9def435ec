"""What a returning mail says: the values the bounce reader makes of it."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["bounce", "delay", "complaint", "auto-reply", "other"]
"""A failure, a warning of a delay, a feedback report of any type, an automatic answer, or other mail."""


Action = Literal["failed", "delayed", "delivered", "complained", "reported"]
"""What happened to a recipient. `relayed` and `expanded` of RFC 3464 count as delivered.

`reported` is a recipient of a message that a feedback report is about without being a complaint.
"""


COMPLAINTS = frozenset({"abuse", "fraud", "complaint", "spam"})
"""Feedback types by which a recipient complains (RFC 5965 section 7.3), and what receivers without types write."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """One recipient of a report.

    `address` is the one the message was sent to as far as the report tells it; `final_address` where the reporting
    host tried to deliver it. `status` is an enhanced status code (RFC 3463), X.0.0 of its class when the report names
    none. `code` is the SMTP code in the diagnostic, None when there is none. `phase` is the SMTP command the reply
    answered ("" when not told).
    """

    address: str
    action: Action
    status: str = ""
    code: int | None = None
    diagnostic: str = ""
    phase: str = ""
    remote_mta: str = ""
    final_address: str = ""


@dataclass(frozen=True, slots=True)
class Feedback:
    """The machine-readable half of a feedback report (RFC 5965 section 3)."""

    feedback_type: str
    """`abuse`, `fraud`, `not-spam`, `auth-failure`, `opt-out`, `virus`, `other`, or a receiver's own word."""

    @property
    def is_complaint(self) -> bool:
        """Whether a recipient complained; the other types report something else (RFC 6430, RFC 6591)."""
        return self.feedback_type in COMPLAINTS


@dataclass(frozen=True, slots=True)
class Report:
    """A returning mail, understood.

    `text` is what the report says to a human, without the returned message. `message_id` and `returned` come from
    the header of the returned message, `envelope_id` from the report (RFC 3461 ENVID).
    """

    kind: Kind
    recipients: tuple[Recipient, ...] = ()
    reporting_mta: str = ""
    envelope_id: str = ""
    message_id: str = ""
    returned: tuple[tuple[str, str], ...] = ()
    text: str = ""
    feedback: Feedback | None = None
    cut: bool = False
    """The mail breaks off within the report: what it says about a recipient may lack its end."""
