"""The door of inbound listeners, with an eye on test mails that come back."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from relay.accept import Door
from relay.mail.envelope import Envelope, Recipient
from relay.mail.reply import Reply
from relay.mail.session import Session, Transaction
from relay.rewrite.tokens import Keyring, Kind, verify_address_token
from relay.verification.copies import Copies


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
            token = verify_address_token(keyring, Kind.TEST, recipient.address.rpartition("@")[0])
            if token is None:
                others.append(recipient)
            else:
                await self.copies.take(token.queue_id, transaction)
        if not others:
            return Reply(250, "2.0.0", "Ok: test mail judged")
        return await self.inbound.accept(
            replace(transaction, envelope=replace(transaction.envelope, recipients=tuple(others)))
        )
