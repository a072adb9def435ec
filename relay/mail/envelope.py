"""The envelope of a transaction (RFC 5321 section 2.3.1) with the DSN parameters of RFC 3461."""

from dataclasses import dataclass
from typing import Literal

BodyKind = Literal["7BIT", "8BITMIME"]
Notify = Literal["NEVER", "SUCCESS", "FAILURE", "DELAY"]

MAX_RECIPIENTS = 100
"""Recipients that one transaction brings to other servers: each takes at least so many (RFC 5321 section 4.5.3.1.8)."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """A forward-path as the client gave it. `notify` empty: not asked, which means FAILURE (RFC 3461 section 4.1)."""

    address: str
    notify: tuple[Notify, ...] = ()
    orcpt: str = ""

    def wants(self, what: Notify) -> bool:
        """Tell whether a DSN of this kind is wanted; without NOTIFY failures and delays are reported."""
        if not self.notify:
            return what in ("FAILURE", "DELAY")
        return what in self.notify


@dataclass(frozen=True, slots=True)
class Envelope:
    """Reverse-path ("" when null), recipients in order, and the parameters of MAIL."""

    reverse_path: str
    recipients: tuple[Recipient, ...] = ()
    body: BodyKind = "7BIT"
    smtputf8: bool = False
    ret: Literal["", "FULL", "HDRS"] = ""
    envid: str = ""
