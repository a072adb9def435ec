"""The door of inbound listeners: only addresses this relay issued are let in."""

from collections.abc import Callable
from dataclasses import dataclass

from relay.config.settings import Settings
from relay.inbound.intake import Intake
from relay.inbound.tokens import token_of_address
from relay.mail.address import domain_of
from relay.mail.envelope import Envelope, Recipient
from relay.mail.reply import Reply
from relay.mail.session import Session, Transaction
from relay.rewrite.tokens import Keyring


@dataclass(frozen=True, slots=True)
class InboundDoor:
    """Takes mail for signed return-paths and reply addresses, and for nobody else: no relaying, no backscatter."""

    settings: Callable[[], Settings]
    keyring: Callable[[], Keyring]
    intake: Intake

    def may_send(self, session: Session, envelope: Envelope) -> Reply | None:
        """Anybody may try: the recipient decides."""
        del session, envelope
        return None

    def may_receive(self, session: Session, envelope: Envelope, recipient: Recipient) -> Reply | None:
        """Refuse every address that carries no valid signature of ours."""
        del session, envelope
        ours = domain_of(recipient.address) in return_domains(self.settings())
        if ours and token_of_address(self.keyring(), recipient.address) is not None:
            return None
        return Reply(550, "5.1.1", f"<{recipient.address}> is no address of this relay")

    async def accept(self, transaction: Transaction) -> Reply:
        """Take the mail in for each recipient; 250 only when what it says is durable. Raises StoreError when not."""
        addresses = dict.fromkeys(one.address.lower() for one in transaction.envelope.recipients)
        taken = [await self.intake.take(transaction.content, address) for address in addresses]
        return Reply(250, "2.0.0", f"Ok: {taken[0].kind} taken")


def return_domains(settings: Settings) -> frozenset[str]:
    """Return the domains signed addresses live in."""
    holders = (settings.defaults, *settings.domains.values())
    named = (name.lower() for one in holders for name in (one.return_path, one.reply_domain))
    return frozenset(name for name in named if name)
