"""A mail that came in: parsed, with the address it came to."""

from dataclasses import dataclass

from relay.dsn.report import Report
from relay.inbound.addresses import CcAddress, Destination, IdentityAddress, MessageAddress
from relay.mail.transaction import Transaction
from relay.rewrite.tokens import Kind, Token

READ = 2 << 20
"""Octets that are read of a mail: notice and fields come first, what is returned last."""


@dataclass(frozen=True, slots=True)
class InboundMail:
    """A mail that came in. `recipient` is the address it came to, "" in a bounce mailbox; there is no transaction then.

    `token` is that of the recipient, else one that the mail mentions.
    """

    content: bytes
    report: Report
    recipient: str
    destination: Destination | None
    token: Token | None
    transaction: Transaction | None

    @property
    def may_answer(self) -> bool:
        """Whether it may be an answer: not what comes to a signed return-path with the null reverse-path.

        Some mail programs answer the return-path; only mail from the null reverse-path cannot be a person's.
        """
        has_author = self.transaction is not None and self.transaction.envelope.reverse_path != ""
        return self.token is None or self.token.kind is Kind.REPLY or has_author

    @property
    def is_answer(self) -> bool:
        """Whether it is no report of a mail system: written by a person, or an automatic answer."""
        return self.report.kind in ("other", "auto-reply")

    @property
    def identity(self) -> str:
        """The identity whose address it came to, by its own address or its CC tracking address; "" for others."""
        match self.destination:
            case CcAddress(identity) | IdentityAddress(identity):
                return identity
            case _:
                return ""

    @property
    def is_exact(self) -> bool:
        """Whether it came as it was sent, to an address that answers are forwarded from."""
        return self.transaction is not None and isinstance(self.destination, MessageAddress | IdentityAddress)
