"""What the replies of one transaction mean for each recipient. Pure.

The first digit decides (RFC 5321 section 4.3.2): 2yz is success, 4yz and what cannot be understood temporary, 5yz
permanent. MAIL and DATA speak for all recipients, RCPT for its own, the reply to the final dot for those accepted.
"""

from dataclasses import dataclass, field
from enum import Enum

from relay.mail.reply import Reply
from relay.queue.outcome import Deferred, Delivered, Outcome, Phase, Refused

_MISUNDERSTOOD = frozenset((500, 501, 502, 503, 504, 555))


class Next(Enum):
    """What follows the reply to DATA."""

    BODY = "body"
    LONE_DOT = "lone dot"
    """Nobody was accepted and yet content is expected: an empty one ends it (RFC 2920 section 3.1)."""
    NOTHING = "nothing"
    HANG_UP = "hang up"
    """The other side is in a state from which no safe word leads back."""


@dataclass(slots=True)
class TransactionReplies:
    """What was answered so far, in the order of the commands. `recipients` may be shorter than was asked."""

    mail: Reply | None = None
    recipients: list[Reply] = field(default_factory=list)
    data: Reply | None = None
    dot: Reply | None = None
    failure: Reply | None = None
    """Our own words for what went wrong when the connection broke, fell silent or spoke nonsense."""
    hung_up: bool = False
    """The failure is that the other side closed the connection."""
    dot_sent: bool = False

    @property
    def untouched(self) -> bool:
        """Whether the other side hung up before answering anything: a kept connection was dead or closing already."""
        return self.hung_up if self.mail is None else self.mail.code == 421

    @property
    def reusable(self) -> bool:
        """Whether the connection can be used for another transaction."""
        return self.failure is None and self._goodbye is None

    @property
    def needs_reset(self) -> bool:
        """Whether a transaction is still open at the other side: RSET ends it."""
        accepted_mail = self.mail is not None and self.mail.is_positive
        return accepted_mail and self.dot is None

    @property
    def accepted(self) -> bool:
        """Whether MAIL and at least one recipient were accepted."""
        return self.mail is not None and self.mail.is_positive and any(reply.is_positive for reply in self.recipients)

    @property
    def _goodbye(self) -> Reply | None:
        """The 421 by which the other side says that it closes the connection; it may answer any command."""
        every = (self.mail, *self.recipients, self.data, self.dot)
        return next((reply for reply in every if reply is not None and reply.code == 421), None)

    @property
    def disagrees(self) -> bool:
        """Whether the other side found fault with our commands, not with what they name (RFC 5321 section 4.2.4).

        What was sent ahead of a refusal is out of order behind it, and says nothing.
        """
        if self.mail is None or not self.mail.is_positive:
            return self.mail is not None and _misunderstood(self.mail)
        return any(map(_misunderstood, self.recipients)) or bool(
            self.accepted and self.data and _misunderstood(self.data)
        )

    def after_data(self) -> Next:
        """Return what has to be sent once DATA is answered."""
        if self.data is None or self.data.code != 354:
            return Next.NOTHING
        if self.accepted:
            return Next.BODY
        if any(reply.is_positive for reply in self.recipients):
            return Next.HANG_UP
        return Next.LONE_DOT

    def outcomes(self, count: int, remote: str, dsn_passed_on: bool) -> list[Outcome]:
        """Return one outcome for each of the `count` recipients, in order."""
        return [self._outcome(index, remote, dsn_passed_on) for index in range(count)]

    def _outcome(self, index: int, remote: str, dsn_passed_on: bool) -> Outcome:
        if self.mail is not None and not self.mail.is_positive:
            return refusal(self.mail, remote, "mail")
        own = self.recipients[index] if index < len(self.recipients) else None
        if own is not None and not own.is_positive:
            return Deferred(own, remote, phase="rcpt") if self._is_too_many(index) else refusal(own, remote, "rcpt")
        if self.dot is not None and self.accepted:
            if self.dot.is_positive:
                return Delivered(self.dot, remote, dsn_passed_on)
            return refusal(self.dot, remote, "data")
        if self.failure is not None:
            return Deferred(self.failure, remote, uncertain=self.dot_sent, phase=self._unanswered(own))
        if self.data is not None and self.data.code // 100 in (4, 5):
            return refusal(self.data, remote, "data")
        left = self._goodbye or Reply(451, "4.5.0", "the transaction was left unanswered")
        return Deferred(left, remote, phase=self._unanswered(own))

    def _unanswered(self, own: Reply | None) -> Phase:
        """Return the step that was waiting for its reply when the connection broke."""
        if self.mail is None:
            return "mail"
        return "rcpt" if own is None else "data"

    def accepted_recipients(self) -> list[int]:
        """Return the recipients that were accepted: the reply to the final dot speaks for them."""
        return [index for index, reply in enumerate(self.recipients) if reply.is_positive]

    def too_many(self) -> list[int]:
        """Return the recipients the other side had no room for in this transaction but may take in the next."""
        return [index for index in range(len(self.recipients)) if self._is_too_many(index)]

    def _is_too_many(self, index: int) -> bool:
        """452, and 552 as RFC 821 had it, mean "too many recipients" behind an accepted one (RFC 5321 4.5.3.1.10)."""
        reply = self.recipients[index]
        if reply.code not in (452, 552) or reply.status not in ("", "4.5.3", "5.5.3"):
            return False
        return any(before.is_positive for before in self.recipients[:index])


def refusal(reply: Reply, remote: str, phase: Phase) -> Deferred | Refused:
    """Return the outcome of a reply that is not positive."""
    return Refused(reply, remote, phase) if reply.is_permanent else Deferred(reply, remote, phase=phase)


def _misunderstood(reply: Reply) -> bool:
    return reply.code in _MISUNDERSTOOD and not reply.status[1:].startswith((".1.", ".7."))


def is_expected(reply: Reply, *, to_data: bool = False) -> bool:
    """Tell whether a reply makes sense where it stands: 3yz answers DATA and nothing else does, 4yz and 5yz apart."""
    return reply.code // 100 in (4, 5) or (reply.code == 354 if to_data else reply.is_positive)
