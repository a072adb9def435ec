"""The door of inbound listeners: only addresses this relay issued are let in."""

from relay.mail.envelope import Envelope, Recipient
from relay.mail.reply import Reply
from relay.mail.session import Session, Transaction


class InboundDoor:
    """Takes mail for signed return-paths and reply addresses, and for nobody else: no relaying, no backscatter."""

    def may_send(self, session: Session, envelope: Envelope) -> Reply | None:
        """Anybody may try: the recipient decides."""
        del session, envelope
        return None

    def may_receive(self, session: Session, envelope: Envelope, recipient: Recipient) -> Reply | None:
        """Refuse every address that carries no valid signature of ours."""
        del session, envelope
        return Reply(550, "5.1.1", f"<{recipient.address}> is no address of this relay")

    async def accept(self, transaction: Transaction) -> Reply:
        """Refuse: no recipient can have been let in."""
        return Reply(554, "5.5.1", f"No valid recipients among {len(transaction.envelope.recipients)}")
