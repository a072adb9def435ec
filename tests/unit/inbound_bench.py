"""A processor of inbound mail over a real store, and the bounces that it reads."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest

from relay.config.settings import Settings
from relay.domains.mail_exchanger import UNKNOWN
from relay.dsn.rules_file import built_in_rules
from relay.events.event import Event
from relay.inbound.process import InboundProcessor
from relay.mail.queue_id import queue_id
from relay.queue.bounce_policy import BouncePolicy
from relay.queue.entry import Entry, State
from relay.queue.message import Message, NewMessage
from relay.render.message_policy import MessagePolicy
from relay.reports.ports import MessageQuery, Story
from relay.resolver import Lookups, Resolver
from relay.rewrite.tokens import Keyring, Token, sign_address_token
from relay.rewrite.tokens import Kind as TokenKind
from relay.storage.sqlite.store import SqliteStore
from relay.suppression.ports import SuppressionQuery

NOW = 1_800_000_000.0

KEYS = Keyring((("k1", bytes(range(32))),))

QUEUE_ID = queue_id(NOW, 7)

RULES = built_in_rules()

SETTINGS = Settings.model_validate({"domains": {"acme.test": {"return_path": "bounces.acme.test"}}})


def address(kind: TokenKind = TokenKind.BOUNCE, queue_id: str = QUEUE_ID, recipient: int = 1) -> str:
    return f"{sign_address_token(KEYS, Token(kind, queue_id, recipient))}@bounces.acme.test"


def bounce(
    to: str = "postmaster@acme.test",
    recipient: str = "ben@rcpt.test",
    action: str = "failed",
    status: str = "5.1.1",
    reply: str = "550 5.1.1 user unknown",
) -> bytes:
    return f"""\
From: MAILER-DAEMON@mx.rcpt.test
To: {to}
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: text/plain

Trouble.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.rcpt.test

Final-Recipient: rfc822; {recipient}
Action: {action}
Status: {status}
Diagnostic-Code: smtp; {reply}

--b
Content-Type: text/rfc822-headers

From: news@acme.test
Message-ID: <77@acme.test>
Subject: invoice

--b--
""".replace("\n", "\r\n").encode()


@dataclass
class Bench:
    store: SqliteStore
    published: list[Event] = field(default_factory=list)
    lines: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    now: float = NOW
    wakes: int = 0
    serial: "count[int]" = field(default_factory=count)
    resolver: Callable[[], Lookups] = Resolver
    settings: Settings = SETTINGS

    @property
    def intake(self) -> InboundProcessor:
        policy = BouncePolicy(lambda: RULES, threshold=3)
        return InboundProcessor(
            settings=lambda: self.settings,
            keyring=lambda: KEYS,
            bounce_policy=lambda: policy,
            queue=self.store.queue,
            quotas=self.store.quotas,
            stories=self.store.reports,
            returned=self.store.events,
            unsubscribes=self.store.unsubscribes,
            exchanger_of=lambda _: UNKNOWN,
            resolver=self.resolver,
            clock=lambda: self.now,
            new_id=lambda now: queue_id(now, next(self.serial)),
            publish=self.publish,
            wake=self.wake,
            log=self.log,
        )

    async def enqueue(self, of: str, state: State = State.DELIVERED) -> None:
        message = Message(of, NOW, "news@acme.test", MessagePolicy(domain="acme.test"), message_id="<77@acme.test>")
        entries = tuple(
            Entry(of, number, who, "mx:rcpt.test", NOW, NOW + 9, NOW, state=state)
            for number, who in enumerate(("ada@rcpt.test", "ben@rcpt.test"))
        )
        await self.store.queue.enqueue(NewMessage(message, b"x", entries))

    def wake(self) -> None:
        self.wakes += 1

    def publish(self, events: Sequence[Event]) -> None:
        self.published += events

    def log(self, line: str, **fields: object) -> None:
        self.lines.append((line, fields))

    async def story(self) -> Story:
        (story,) = await self.store.reports.stories(MessageQuery(queue_id=QUEUE_ID))
        return story

    async def suppressed(self) -> list[tuple[str, str, str]]:
        return [(one.address, one.domain, one.reason) for one in await self.store.suppressions.find(SuppressionQuery())]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    store = await SqliteStore.open(tmp_path / "relay.db", now=NOW)
    bench = Bench(store)
    await bench.enqueue(QUEUE_ID)
    yield bench
    await store.close()
