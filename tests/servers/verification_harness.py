"""A verifier over a store, whose mails are kept in place of sent."""

from collections.abc import Callable
from itertools import count

from relay.config.settings import Settings
from relay.domains.mail_exchanger import MailExchangers
from relay.mail.queue_id import queue_id
from relay.mail.reply import Reply
from relay.mail.transaction import Transaction
from relay.resolver import Resolver
from relay.rewrite.tokens import Keyring
from relay.storage.store import Store
from relay.verification.context import VerificationContext
from relay.verification.owner_verification import OwnerVerification
from relay.verification.verified_senders import VerifiedSenders
from relay.verification.verifier import Verifier

RING = Keyring((("k1", b"k" * 32),))


class VerificationHarness:
    """Makes the verifier; `sent` has what it sent, by queue id. Its codes are 000001, 000002, …"""

    def __init__(self, store: Store, settings: Settings, clock: Callable[[], float]) -> None:
        self.table = store.verifications
        self.proven = VerifiedSenders((self.table.proven,), lambda error: None)
        self.sent: dict[str, Transaction] = {}
        self.reply = Reply(250, "2.0.0", "Ok")
        self.settings = settings
        self.lines: list[tuple[str, object]] = []
        serial, codes = count(1), count(1)
        tools = VerificationContext(
            settings=lambda: self.settings,
            keyring=lambda: RING,
            store=self.table,
            stories=store.reports,
            resolver=Resolver,
            exchangers=MailExchangers(lambda: self.settings, Resolver),
            forget_dns=lambda: None,
            clock=clock,
            new_id=lambda now: queue_id(now, next(serial)),
            submit=self.submit,
            random_number=lambda: next(codes),
            random_bytes=bytes,
        )
        self.verifier = Verifier(tools, self.proven, self.log)
        self.owner = OwnerVerification(self.verifier, lambda error: None)

    async def submit(self, queue_id: str, transaction: Transaction) -> Reply:
        if self.reply.code == 250:
            self.sent[queue_id] = transaction
        return self.reply

    def log(self, line: str, **fields: object) -> None:
        self.lines.append((line, fields))
