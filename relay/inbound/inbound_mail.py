"""Inbound mail: parsed, with the address it was sent to."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from relay.config.settings import Settings
from relay.domains.mail_exchanger import MailExchanger
from relay.dsn.report import Report
from relay.inbound.addresses import (
    CcAddress,
    Destination,
    IdentityAddress,
    MessageAddress,
    UnsubscribeAddress,
    addressees,
    parse_own_address,
    token_in,
)
from relay.mail.canonical_address import canonical_domain, domain_of
from relay.mail.transaction import Transaction
from relay.rewrite.tokens import Keyring, Kind, Token

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
    author_proven: bool = False
    """Whether SPF or DKIM proves the author."""

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


async def parse_mail(
    settings: Settings,
    keyring: Keyring,
    exchanger_of: Callable[[str], MailExchanger],
    now: float,
    content: bytes,
    recipient: str,
    transaction: Transaction | None,
) -> InboundMail:
    """Parse a mail. `recipient` is the address it was sent to, "" if unknown (bounce mailbox)."""
    report = await asyncio.to_thread(read_report, content)
    destination = parse_own_address(settings, keyring, recipient, exchanger_of, now)
    if not recipient and (leaving := token_in(keyring, addressees(content), (Kind.LIST_UNSUBSCRIBE,))):
        destination = UnsubscribeAddress(leaving)
    if isinstance(destination, MessageAddress | UnsubscribeAddress):
        token: Token | None = destination.token
    else:
        # Ordinary mail may quote a token, or be relay's own with a signed Reply-To: only its addressees count.
        searched = addressees(content) if report.kind == "other" else content
        token = await asyncio.to_thread(token_in, keyring, searched)
    return InboundMail(content, report, recipient, destination, token, transaction)


def read_report(content: bytes) -> Report:
    """Parse the report in a mail, in its first READ octets."""
    # Imported here: the patterns take a tenth of a second to compile, which would delay the start.
    from relay.dsn.parse import parse

    return parse(content[:READ])


def may_unsubscribe(settings: Settings, mail: InboundMail) -> bool:
    """Whether a request in a mail to be unsubscribed counts for the recipient who seems to have written it.

    It does with the signed address that this recipient got, and of a proven author. In other mail anybody can write the
    name of somebody else. What the mailbox of an identity forwards counts too, unless others send at its domain.
    """
    if mail.token is not None or mail.author_proven:
        return True
    return isinstance(mail.destination, CcAddress) and domain_of(mail.identity) != canonical_domain(
        settings.server.identities_domain
    )
