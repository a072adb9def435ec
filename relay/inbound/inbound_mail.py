"""Inbound mail: parsed, with the address it was sent to."""

from dataclasses import dataclass

from relay.dsn.report import Report
from relay.inbound.addresses import CcAddress, Destination, IdentityAddress, MessageAddress
from relay.mail.transaction import Transaction
from relay.rewrite.tokens import Kind, Token

READ = 2 << 20
"""Octets of a mail that are parsed: header and report come first, the returned message last."""


@dataclass(frozen=True, slots=True)
class InboundMail:
    """Inbound mail. `recipient` is "" and `transaction` None for mail of the bounce mailbox.

    `token` is that of the recipient, else one in the mail.
    """

    content: bytes
    report: Report
    recipient: str
    destination: Destination | None
    token: Token | None
    transaction: Transaction | None
    sender_proven: bool = False
    """Whether SPF or DKIM proves that the reverse-path is the sender's."""

    @property
    def may_answer(self) -> bool:
        """Whether it may be an answer: mail to a signed return-path from the null reverse-path is not.

        Some mail programs answer to the return-path, but a person's mail has a reverse-path.
        """
        has_author = self.transaction is not None and self.transaction.envelope.reverse_path != ""
        return self.token is None or self.token.kind is Kind.REPLY or has_author

    @property
    def is_answer(self) -> bool:
        """Whether a person or an automatic responder wrote it, not a mail system."""
        return self.report.kind in ("other", "auto-reply")

    @property
    def identity(self) -> str:
        """The identity whose own or CC tracking address it was sent to; "" for other addresses."""
        return self.destination.identity if isinstance(self.destination, CcAddress | IdentityAddress) else ""

    @property
    def is_exact(self) -> bool:
        """Whether it came directly, to an address whose answers are forwarded."""
        return self.transaction is not None and isinstance(self.destination, MessageAddress | IdentityAddress)
