"""The door of inbound listeners: only addresses this relay issued are let in."""

from collections.abc import Callable
from dataclasses import dataclass

from relay.clock import Clock
from relay.config.settings import Settings
from relay.events.event import Kind
from relay.inbound.destination import OfOrigin, destination_of
from relay.inbound.intake import Intake
from relay.mail.address import normal
from relay.mail.envelope import Envelope, Recipient
from relay.mail.reply import Reply
from relay.mail.session import Session, Transaction
from relay.rewrite.tokens import Keyring

_NAMES = {
    "other": "mail",
    "auto-reply": "automatic answer",
    "bounce": "bounce",
    "delay": "delay",
    "complaint": "complaint",
}


@dataclass(frozen=True, slots=True)
class InboundDoor:
    """Takes mail for signed addresses, and for nobody else: no relaying, no backscatter."""

    settings: Callable[[], Settings]
    keyring: Callable[[], Keyring]
    clock: Clock
    intake: Intake

    def may_send(self, session: Session, envelope: Envelope) -> Reply | None:
        """Anybody may try: the recipient decides."""
        del session, envelope
        return None

    def may_receive(self, session: Session, envelope: Envelope, recipient: Recipient) -> Reply | None:
        """Refuse every address that carries no valid signature of ours.

        A rewritten reverse-path takes bounces only: it must not become a way to write to whoever it stands for.
        """
        del session
        meant = destination_of(self.settings(), self.keyring(), recipient.address, self.clock())
        if meant is None:
            return Reply(550, "5.1.1", f"<{recipient.address}> is no address of this relay")
        if isinstance(meant, OfOrigin) and envelope.reverse_path:
            return Reply(550, "5.7.1", f"<{recipient.address}> takes bounces only, from the null reverse-path")
        return None

    async def accept(self, transaction: Transaction) -> Reply:
        """Take the mail in for each recipient; 250 only when all it means is durable. Raises StoreError when not.

        When one of several recipients cannot be taken, the whole transaction is refused: what was taken of it is known
        when it is offered again.
        """
        addresses = {normal(one.address): one.address for one in transaction.envelope.recipients}
        told = []
        for address in addresses.values():
            taken = await self.intake.take(transaction.content, address, transaction)
            if taken.refusal is not None:
                return taken.refusal
            passed_on = (event.queue_id for event in taken.events if event.kind is Kind.CREATED)
            told += [f"queued as {queue_id}" for queue_id in passed_on] or [f"{_NAMES[taken.kind]} taken"]
        return Reply(250, "2.0.0", f"Ok: {told[0]}")
