"""An inbound handler over a real store that holds one sent message, and mail that answers it."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from relay.config.settings import Settings
from relay.domains.mail_exchanger import UNKNOWN, MailExchanger
from relay.dsn.rules_file import built_in_rules
from relay.events.event import Event
from relay.inbound.handler import InboundHandler
from relay.inbound.process import InboundProcessor
from relay.mail.queue_id import queue_id
from relay.mail.reply import Reply
from relay.mail.transaction import Envelope, Recipient, Session, Transaction
from relay.queue.bounce_policy import BouncePolicy
from relay.queue.entry import Entry, State
from relay.queue.message import Message, NewMessage
from relay.queue.ports import EntryQuery
from relay.render.message_policy import MessagePolicy
from relay.reports.ports import MessageQuery
from relay.resolver import Resolver
from relay.rewrite.tokens import Keyring, Token, sign_address_token
from relay.rewrite.tokens import Kind as TokenKind
from relay.storage.sqlite.store import SqliteStore
from relay.suppression.ports import UnsubscribeQuery
from relay.verification.received_copies import ReceivedCopies

NOW = 1_800_000_000.0

KEY = bytes(range(32))

KEYS = Keyring((("k1", KEY),))

SENT = queue_id(NOW, 7)

RULES = built_in_rules()

NEWS = "news@acme.test"

IDENTITY: dict[str, Any] = {"reply_tracking": True, "forward_to": ["owner@acme.test"], "bcc": ["archive@acme.test"]}

SESSION = Session("mx", "inbound", "192.0.2.9", "mx.rcpt.test", extended=True)

REPLY = (
    b"DKIM-Signature: v=1; theirs\r\nFrom: Ben <ben@rcpt.test>\r\nSubject: Re: Offer\r\nMessage-ID: <r1@rcpt.test>\r\n"
    b"X-Relay-Tag: theirs\r\n\r\nThanks, I take two.\r\n"
)

VACATION = (
    b"From: ben@rcpt.test\r\nAuto-Submitted: auto-replied\r\nMessage-ID: <v@rcpt.test>\r\n\r\nAway until May.\r\n"
)


def reply_address(recipient: int = 1, message: str = SENT) -> str:
    return f"{sign_address_token(KEYS, Token(TokenKind.REPLY, message, recipient))}@reply.acme.test"


@dataclass
class Harness:
    """An inbound handler with its dependencies."""

    store: SqliteStore
    published: list[Event] = field(default_factory=list)
    serial: "count[int]" = field(default_factory=count)
    now: float = NOW
    wakes: int = 0
    resolver: Callable[[], Resolver] = Resolver
    exchangers: dict[str, MailExchanger] = field(default_factory=dict)
    identity: dict[str, Any] = field(default_factory=lambda: dict(IDENTITY))
    limits: dict[str, int] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        return Settings.model_validate(
            {
                "server": {"hostname": "relay.test"},
                "domains": {"acme.test": {"reply_domain": "reply.acme.test", "return_path": "bounces.acme.test"}},
                "identities": {NEWS: self.identity, "other@acme.test": {}},
                "limits": self.limits,
            }
        )

    @property
    def handler(self) -> InboundHandler:
        policy = BouncePolicy(lambda: RULES, threshold=3)
        intake = InboundProcessor(
            settings=lambda: self.settings,
            keyring=lambda: KEYS,
            bounce_policy=lambda: policy,
            queue=self.store.queue,
            quotas=self.store.quotas,
            stories=self.store.reports,
            returned=self.store.events,
            unsubscribes=self.store.unsubscribes,
            exchanger_of=lambda domain: self.exchangers.get(domain, UNKNOWN),
            resolver=self.resolver,
            clock=lambda: self.now,
            new_id=lambda now: queue_id(now, next(self.serial)),
            publish=self.published.extend,
            wake=self.wake,
            log=lambda *_, **__: None,
        )
        return InboundHandler(
            settings=lambda: self.settings,
            keyring=lambda: KEYS,
            clock=lambda: self.now,
            processor=intake,
            copies=self.copies,
        )

    @property
    def copies(self) -> ReceivedCopies:
        verifications = self.store.verifications
        return ReceivedCopies(verifications, self.resolver, lambda: self.settings.server.hostname, lambda: self.now)

    def wake(self) -> None:
        self.wakes += 1

    async def give(self, content: bytes, to: str = "", reverse_path: str = "ben@rcpt.test", **envelope: Any) -> Reply:
        """Have the mail come in by the inbound listener."""
        recipient = Recipient(to or reply_address(), **envelope)
        whole = Envelope(reverse_path, (recipient,))
        refused = self.handler.check_recipient(SESSION, whole, recipient)
        return refused or await self.handler.accept_message(Transaction(SESSION, whole, content))

    async def events(self, message: str = SENT) -> list[Event]:
        (story,) = await self.store.reports.stories(MessageQuery(queue_id=message))
        return list(story.events)

    async def forwards(self) -> list[tuple[Message, Entry]]:
        return list(await self.store.queue.entries(EntryQuery(states=(State.WAITING,))))

    async def unsubscribed(self) -> list[str]:
        return [one.address for one in await self.store.unsubscribes.find(UnsubscribeQuery())]


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[Harness]:
    store = await SqliteStore.open(tmp_path / "relay.db", now=NOW)
    policy = MessagePolicy(domain="acme.test", identity=NEWS, reply_domain="reply.acme.test", copies=(2,))
    message = Message(SENT, NOW, NEWS, policy, message_id="<77@acme.test>", header_from=NEWS, subject="Offer")
    await store.queue.enqueue(
        NewMessage(message, b"x", delivered(SENT, "ada@rcpt.test", "ben@rcpt.test", "copy@acme.test"))
    )
    yield Harness(store)
    await store.close()


def delivered(message: str, *recipients: str) -> tuple[Entry, ...]:
    return tuple(
        Entry(message, number, who, "mx:rcpt.test", NOW, NOW + 9, NOW, state=State.DELIVERED)
        for number, who in enumerate(recipients)
    )


def bounce_of(recipient: str) -> bytes:
    return (
        "From: MAILER-DAEMON@mx.rcpt.test\r\nSubject: Undelivered Mail Returned to Sender\r\nMIME-Version: 1.0\r\n"
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n\r\nTrouble.\r\n--b\r\n"
        "Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.rcpt.test\r\n\r\n"
        f"Final-Recipient: rfc822; {recipient}\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n--b\r\n"
        "Content-Type: text/rfc822-headers\r\n\r\nMessage-ID: <77@acme.test>\r\n\r\n--b--\r\n"
    ).encode()
