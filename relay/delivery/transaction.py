"""Outcomes of one transaction by its replies. Pure.

The first digit decides (RFC 5321 section 4.3.2): 2yz is success, 4yz and malformed replies are temporary failures, 5yz
is a permanent failure. Replies to MAIL and DATA apply to all recipients, a reply to RCPT to its own. The reply to the
final dot applies to the accepted recipients.
"""

from dataclasses import dataclass, field
from enum import Enum

from relay.mail.reply import Reply
from relay.queue.outcome import Deferred, Delivered, Outcome, Phase, Refused

_COMMAND_ERRORS = frozenset((500, 501, 502, 503, 504, 555))
"""Codes of a rejected command or parameter (RFC 5321 section 4.2.4)."""


class Next(Enum):
    """The step after the reply to DATA."""

    BODY = "body"
    EMPTY_BODY = "empty body"
    """No recipient was accepted, but the server expects content: an empty one ends DATA (RFC 2920 section 3.1)."""
    NOTHING = "nothing"
    CLOSE = "close"
    """The server is in a state from which no command recovers safely."""


@dataclass(slots=True)
class TransactionReplies:
    """Replies so far, in the order of the commands."""

    mail: Reply | None = None
    recipients: list[Reply] = field(default_factory=list)
    """Shorter than the list of recipients when the connection broke."""
    data: Reply | None = None
    dot: Reply | None = None
    failure: Reply | None = None
    """A reply of our own for a connection that broke, timed out, or sent a malformed reply."""
    closed_by_server: bool = False
    """The server closed the connection."""
    tls_failed: bool = False
    """TLS failed after the handshake."""
    dot_sent: bool = False

    @property
    def is_unanswered(self) -> bool:
        """Whether the server had closed the connection, or ended the login, before this transaction."""
        if self.mail is None:
            return self.closed_by_server
        return self.mail.code == 421 or self._is_logged_out

    @property
    def reusable(self) -> bool:
        """Whether the connection can be used for another transaction."""
        return self.failure is None and self._closing_reply is None and not self._is_logged_out

    @property
    def _is_logged_out(self) -> bool:
        """Whether the server asks for AUTH: the login of the session ended (RFC 4954 sections 4 and 6)."""
        return self.mail is not None and self.mail.code in (530, 535)

    @property
    def needs_reset(self) -> bool:
        """Whether the transaction is still open at the server: RSET ends it."""
        accepted_mail = self.mail is not None and self.mail.is_positive
        return accepted_mail and self.dot is None

    @property
    def accepted(self) -> bool:
        """Whether MAIL and at least one recipient were accepted."""
        return self.mail is not None and self.mail.is_positive and any(reply.is_positive for reply in self.recipients)

    @property
    def is_delivered_to_all(self) -> bool:
        """Whether the server accepted the message for every recipient: most transactions end so."""
        if not self.dot_sent or self.dot is None or not self.dot.is_positive:
            return False
        return all(reply.is_positive for reply in self.recipients)

    @property
    def _closing_reply(self) -> Reply | None:
        """The 421 with which the server closes the connection. It may be the reply to any command."""
        every = (self.mail, *self.recipients, self.data, self.dot)
        return next((reply for reply in every if reply is not None and reply.code == 421), None)

    @property
    def rejects_commands(self) -> bool:
        """Whether the server rejected a command itself, not the address or content it names (RFC 5321 section 4.2.4).

        Replies to commands pipelined behind a refusal do not count: those commands are out of order.
        """
        if self.mail is None or not self.mail.is_positive:
            return self.mail is not None and _is_command_error(self.mail)
        return any(map(_is_command_error, self.recipients)) or bool(
            self.accepted and self.data and _is_command_error(self.data)
        )

    def after_data(self) -> Next:
        """Return the next step, given the reply to DATA."""
        if self.data is None or self.data.code != 354:
            return Next.NOTHING
        if self.accepted:
            return Next.BODY
        if any(reply.is_positive for reply in self.recipients):
            return Next.CLOSE
        return Next.EMPTY_BODY

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
            return Deferred(self.failure, remote, uncertain=self.dot_sent, phase=self._pending_step(own))
        if self.data is not None and self.data.code // 100 in (4, 5):
            return refusal(self.data, remote, "data")
        reply = self._closing_reply or Reply(451, "4.5.0", "the transaction was left unanswered")
        return Deferred(reply, remote, phase=self._pending_step(own))

    def _pending_step(self, own: Reply | None) -> Phase:
        """Return the first step without a reply."""
        if self.mail is None:
            return "mail"
        return "rcpt" if own is None else "data"

    def accepted_recipients(self) -> list[int]:
        """Return the indexes of accepted recipients, to which the reply to the final dot applies."""
        return [index for index, reply in enumerate(self.recipients) if reply.is_positive]

    @property
    def most_recipients(self) -> int:
        """Recipients that the server accepts in one transaction, 0 if it showed no limit."""
        over = next((index for index in range(len(self.recipients)) if self._is_too_many(index)), None)
        return 0 if over is None else sum(reply.is_positive for reply in self.recipients[:over])

    def next_transaction(self, count: int) -> list[int]:
        """Return the indexes, of `count`, of recipients over the server's limit, which the next transaction may carry.

        After 421 these are all recipients: the server closed the connection, and accepted nothing.
        """
        if not self.most_recipients or not (self.is_delivered or self._closing_reply):
            return []
        if self._closing_reply is not None:
            refused = {index for index, reply in enumerate(self.recipients) if reply.is_permanent}
            return [index for index in range(count) if index not in refused or self._is_too_many(index)]
        return [index for index in range(len(self.recipients)) if self._is_too_many(index)]

    @property
    def is_delivered(self) -> bool:
        """Whether the server accepted the message for at least one recipient."""
        return self.accepted and self.dot is not None and self.dot.is_positive

    def _is_too_many(self, index: int) -> bool:
        """Whether a reply to RCPT means a limit of recipients (RFC 5321 section 4.5.3.1.10).

        It follows an accepted recipient, and is 452, 421, 552 of RFC 821, or any reply with the status 4.5.3 or 5.5.3.
        """
        reply = self.recipients[index]
        by_status = reply.status in ("4.5.3", "5.5.3") and not reply.is_positive
        if not by_status and not (reply.code in (452, 552) and not reply.status) and reply.code != 421:
            return False
        return any(before.is_positive for before in self.recipients[:index])


def refusal(reply: Reply, remote: str, phase: Phase) -> Deferred | Refused:
    """Return the outcome for a reply that is not positive."""
    return Refused(reply, remote, phase) if reply.is_permanent else Deferred(reply, remote, phase=phase)


def _is_command_error(reply: Reply) -> bool:
    return reply.code in _COMMAND_ERRORS and not reply.status[1:].startswith((".1.", ".7."))


def is_expected(reply: Reply, *, to_data: bool = False) -> bool:
    """Whether the reply is allowed here: DATA gets 354, every other command 2yz, and any command 4yz or 5yz."""
    first = reply.code // 100
    return first in (4, 5) or (reply.code == 354 if to_data else first == 2)
