"""What a returning mail says: the values the bounce reader makes of it."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["bounce", "delay", "complaint", "auto-reply", "other"]
"""A failure, a warning that delivery takes longer, a feedback report, a robot's answer, or anything else."""

Action = Literal["failed", "delayed", "delivered", "complained"]
"""What happened to a recipient. `relayed` and `expanded` of RFC 3464 count as delivered."""


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
    source_ip: str = ""
    reported_domains: tuple[str, ...] = ()


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
