"""SMTP side: which addresses are accepted, test copies, hand-over."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from relay.clock import Clock
from relay.config.settings import Settings
from relay.events.event import Kind as EventKind
from relay.inbound.addresses import OfOrigin, destination_of
from relay.inbound.process import Intake
from relay.mail.address import normal
from relay.mail.reply import Reply
from relay.mail.transaction import Envelope, Recipient, Session, Transaction
from relay.rewrite.tokens import Keyring, verify_address_token
from relay.rewrite.tokens import Kind as TokenKind
from relay.submission.accept import Door
from relay.verification.copies import Copies

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
            passed_on = (event.queue_id for event in taken.events if event.kind is EventKind.CREATED)
            told += [f"queued as {queue_id}" for queue_id in passed_on] or [f"{_NAMES[taken.kind]} taken"]
        return Reply(250, "2.0.0", f"Ok: {told[0]}")


@dataclass(frozen=True, slots=True)
class CopyDoor:
    """Judges copies of test mails; everything else is for `inbound`, which knows the domains of our addresses too."""

    keyring: Callable[[], Keyring]
    copies: Copies
    inbound: Door

    def may_send(self, session: Session, envelope: Envelope) -> Reply | None:
        """Return the refusal of MAIL, None to go on."""
        return self.inbound.may_send(session, envelope)

    def may_receive(self, session: Session, envelope: Envelope, recipient: Recipient) -> Reply | None:
        """Return the refusal of RCPT, None to go on."""
        return self.inbound.may_receive(session, envelope, recipient)

    async def accept(self, transaction: Transaction) -> Reply:
        """Judge it for the recipients it is a copy for, pass it on for the others. Raises StoreError."""
        keyring = self.keyring()
        others: list[Recipient] = []
        for recipient in transaction.envelope.recipients:
            token = verify_address_token(keyring, TokenKind.TEST, recipient.address.rpartition("@")[0])
            if token is None:
                others.append(recipient)
            else:
                await self.copies.take(token.queue_id, transaction)
        if not others:
            return Reply(250, "2.0.0", "Ok: test mail judged")
        return await self.inbound.accept(
            replace(transaction, envelope=replace(transaction.envelope, recipients=tuple(others)))
        )
