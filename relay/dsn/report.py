"""Values parsed from returned mail."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["bounce", "delay", "complaint", "auto-reply", "other"]
"""A failure, a warning of a delay, a feedback report of any type, an automatic reply, or other mail."""

Action = Literal["failed", "delayed", "delivered", "complained", "reported"]
"""Action of a recipient. `relayed` and `expanded` of RFC 3464 count as delivered.

`reported` is for recipients in a feedback report that is not a complaint.
"""

COMPLAINTS = frozenset({"abuse", "fraud", "complaint", "spam"})
"""Feedback types that are complaints (RFC 5965 section 7.3), and words of receivers that do not use these types."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """One recipient of a report.

    `address` is the one the message was sent to, if the report names it; `final_address` the one the reporting host
    tried. `status` is an enhanced status code (RFC 3463), X.0.0 of its class if the report names none.

    `code` is the SMTP code in the diagnostic, None if there is none. `phase` is the SMTP command that the reply
    answered, "" if not known.
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
    """The machine-readable part of a feedback report (RFC 5965 section 3)."""

    feedback_type: str
    """`abuse`, `fraud`, `not-spam`, `auth-failure`, `opt-out`, `virus`, `other`, or another word of a receiver."""

    @property
    def is_complaint(self) -> bool:
        """Whether a recipient complained; the other types report something else (RFC 6430, RFC 6591)."""
        return self.feedback_type in COMPLAINTS


@dataclass(frozen=True, slots=True)
class Report:
    """A parsed returned mail.

    `text` is the report's text for people, without the returned message. `message_id` and `returned` are from the
    header of the returned message, `envelope_id` (ENVID, RFC 3461) from the report.
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
    """Whether the report is truncated; its words about a recipient may be incomplete."""
