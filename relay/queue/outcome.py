"""Outcomes of an attempt to deliver to one recipient."""

from typing import Literal

from relay.frozen import dataclass
from relay.mail.reply import Reply

Phase = Literal["", "connect", "ehlo", "starttls", "auth", "mail", "rcpt", "data"]
"""Step of the session that failed. "connect" includes the greeting, "data" the reply to the final dot. "" is a failure
before any session."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """The server accepted the message: 2yz after the final dot."""

    reply: Reply
    remote: str
    dsn_passed_on: bool = False
    """The server offers DSN (RFC 3461) and got our parameters, so it reports success itself."""


@dataclass(frozen=True, slots=True)
class Deferred:
    """A temporary failure: 4yz, a broken connection, a timeout, a DNS failure, or an unknown cause."""

    reply: Reply
    remote: str = ""
    uncertain: bool = False
    """The connection broke after the final dot, before the reply."""
    lane_down: bool = False
    """No server of this lane could be used: the whole lane should wait, not only this entry."""
    locked_out: bool = False
    """The lane is down because its servers refuse us permanently (5yz) at the greeting, EHLO or AUTH."""
    elsewhere: bool = False
    """A provider refused the message permanently, and another provider may accept it."""
    phase: Phase = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """A permanent failure: 5yz, a null MX, a domain that does not exist."""

    reply: Reply
    remote: str = ""
    phase: Phase = ""


Outcome = Delivered | Deferred | Refused
