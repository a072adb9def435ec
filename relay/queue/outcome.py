"""What an attempt to deliver one recipient came to."""

from dataclasses import dataclass
from typing import Literal

from relay.mail.reply import Reply

Phase = Literal["", "connect", "ehlo", "starttls", "auth", "mail", "rcpt", "data"]
"""The step of the session that failed: the connection and its greeting, EHLO or HELO, STARTTLS, AUTH, MAIL, RCPT, DATA
with the content up to the reply to its final dot; "" for what never came to a session."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiving server took it: its 2yz after the final dot."""

    reply: Reply
    remote: str
    dsn_passed_on: bool = False
    """The other side offers DSN (RFC 3461) and got our parameters: reporting success is now its business."""


@dataclass(frozen=True, slots=True)
class Deferred:
    """A temporary failure: 4yz, a broken connection, a timeout, a DNS failure. The unknown is temporary."""

    reply: Reply
    remote: str = ""
    uncertain: bool = False
    """It broke after the final dot, before the answer."""
    lane_down: bool = False
    """Nothing on this lane could be reached: the whole lane should wait, not only this entry."""
    locked_out: bool = False
    """The lane is down because its servers refuse us for good (5yz) before any mail: greeting, EHLO or login."""
    elsewhere: bool = False
    """A provider refused it for good, and another way may take it."""
    phase: Phase = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """A permanent failure: 5yz, a null MX, a domain that does not exist."""

    reply: Reply
    remote: str = ""
    phase: Phase = ""


Outcome = Delivered | Deferred | Refused
