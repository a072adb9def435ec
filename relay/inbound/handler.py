"""Handles inbound listeners: accepts mail to relay's own addresses and passes it to the processor."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import assert_never

from relay.clock import Clock
from relay.config.settings import Settings
from relay.events.event import Kind as EventKind
from relay.inbound.addresses import (
    CcAddress,
    Destination,
    ExpiredAddress,
    IdentityAddress,
    MessageAddress,
    RoleAddress,
    SrsAddress,
    TestCopyAddress,
    UncertainAddress,
    UnsubscribeAddress,
    end_of,
    parse_own_address,
    token_in,
)
from relay.inbound.process import InboundProcessor
from relay.mail.canonical_address import canonical
from relay.mail.reply import Reply
from relay.mail.transaction import Envelope, Recipient, Session, Transaction
from relay.reports.serialize import time_json
from relay.rewrite.tokens import Keyring, Kind
from relay.verification.received_copies import ReceivedCopies

_NAMES = {
    "other": "mail",
    "auto-reply": "automatic answer",
    "bounce": "bounce",
    "delay": "delay",
    "complaint": "complaint",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundHandler:
    """Accepts mail for addresses of this relay: no relaying, no backscatter (`relay.smtp.context.MessageHandler`)."""

    settings: Callable[[], Settings]
    keyring: Callable[[], Keyring]
    clock: Clock
    processor: InboundProcessor
    copies: ReceivedCopies

    def check_mail(self, session: Session, envelope: Envelope) -> Reply | None:
        """Accept every client and reverse-path: the recipient decides."""
        del session, envelope
        return None

    def check_recipient(self, session: Session, envelope: Envelope, recipient: Recipient) -> Reply | None:
        """Refuse addresses that are not relay's, and addresses without a recipient.

        An SRS address accepts bounces only: other mail through it would be relayed to its original sender.
        """
        del session
        address, settings = recipient.address, self.settings()
        match self._own_address(recipient):
            case None:
                return Reply(550, "5.1.1", f"<{address}> is no address of this relay")
            case ExpiredAddress(ended_at):
                return Reply(550, "5.1.1", f"<{address}> ended on {time_json(ended_at)}: its message is forgotten")
            case UncertainAddress(why):
                return Reply(451, "4.4.3", f"<{address}> cannot be checked now: {why}")
            case SrsAddress() if envelope.reverse_path:
                return Reply(550, "5.7.1", f"<{address}> takes bounces only, from the null reverse-path")
            case IdentityAddress(identity) if not settings.identities[identity].forward_to:
                return Reply(550, "5.2.1", f"<{address}> takes no mail: it has no reader (forward_to is not set)")
            case RoleAddress() if not settings.alerts.mail_to:
                return Reply(550, "5.2.1", f"<{address}> takes no mail: it has no reader (alerts.mail_to is not set)")

        return None

    async def accept_message(self, transaction: Transaction) -> Reply:
        """Evaluate test copies and process other mail; 250 when all results are durable. Raises StoreError.

        A refusal for one recipient refuses the whole transaction, before anything is written.
        """
        returned: list[Recipient] = []
        copies: dict[str, str] = {}
        """Queue ids of test mails, by the address to which their copy came."""
        for recipient in transaction.envelope.recipients:
            match address := self._own_address(recipient):
                case TestCopyAddress(queue_id):
                    copies[recipient.address] = queue_id
                case CcAddress(identity) if queue_id := await self._forwarder_test(transaction.content):
                    await self.copies.take_forwarded(queue_id, identity)
                case None | ExpiredAddress() | UncertainAddress():
                    return Reply(451, "4.3.5", f"<{recipient.address}> changed: please send again")
                case (
                    MessageAddress()
                    | UnsubscribeAddress()
                    | CcAddress()
                    | IdentityAddress()
                    | RoleAddress()
                    | SrsAddress()
                ):
                    returned.append(recipient)
                case _:
                    assert_never(address)

        reply = Reply(250, "2.0.0", "Ok: test mail judged")
        if returned:
            envelope = replace(transaction.envelope, recipients=tuple(returned))
            reply = await self._process(replace(transaction, envelope=envelope))
        if not reply.is_positive:
            return reply

        # At last: a copy that is taken is refused when the mail comes again.
        for copy, queue_id in copies.items():
            if not await self.copies.take(queue_id, transaction):
                return Reply(550, "5.1.1", f"<{copy}> was used: it takes one copy of a test mail")
        return reply

    async def _forwarder_test(self, content: bytes) -> str:
        """Return the queue id of the test of a mailbox's forwarder that this mail is or encloses, "" for other mail."""
        token = await asyncio.to_thread(token_in, self.keyring(), content, (Kind.TEST,))
        is_valid = token is not None and end_of(self.settings(), token) >= self.clock()
        return token.queue_id if token and is_valid else ""

    async def _process(self, transaction: Transaction) -> Reply:
        addresses = {canonical(one.address): one.address for one in transaction.envelope.recipients}
        answers: list[str] = []
        for result in await self.processor.process_all(transaction.content, tuple(addresses.values()), transaction):
            if result.refusal is not None:
                return result.refusal
            forwarded = [f"queued as {event.queue_id}" for event in result.events if event.kind is EventKind.CREATED]
            left = ["unsubscribed" for event in result.events if event.kind is EventKind.UNSUBSCRIBE]
            answers += forwarded or left or [f"{_NAMES[result.kind]} taken"]
        return Reply(250, "2.0.0", f"Ok: {answers[0]}")

    def _own_address(self, recipient: Recipient) -> Destination | None:
        return parse_own_address(
            self.settings(), self.keyring(), recipient.address, self.processor.exchanger_of, self.clock()
        )
