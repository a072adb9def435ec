"""A webhook over a real store and a real receiver, with a clock that a test sets; rounds are run by the test."""

import base64
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from relay.config.settings import Settings
from relay.events.event import Event, Kind
from relay.metrics import Metrics
from relay.queue.message import Message
from relay.render.message_policy import MessagePolicy
from relay.resolver import Lookups, Resolver
from relay.storage.sqlite.store import SqliteStore
from relay.storage.store import Store
from relay.webhooks.cursor import Cursor
from relay.webhooks.posting import PostContext
from relay.webhooks.receiver_client import ReceiverClient
from relay.webhooks.report import WebhookReport
from relay.webhooks.sender import WebhookSender
from tests.contract.values import NOW, accepted
from tests.servers.webhook_receiver import Receiver

SECRET = f"whsec_{base64.b64encode(b'0123456789abcdef0123456789abcdef').decode()}"

LOOPBACK = {"allow_networks": ["127.0.0.0/8"]}


def webhook_settings(url: str, **keys: Any) -> Settings:
    """Settings with one webhook that posts to loopback."""
    webhook = {"name": "crm", "url": url, "secret": [SECRET], **LOOPBACK, **keys}
    return Settings.model_validate({"server": {"hostname": "relay.test"}, "webhook": [webhook]})


class WebhookHarness:
    """One webhook. Time passes only by `later`."""

    def __init__(self, store: Store, url: str, lookups: Lookups | None = None, **keys: Any) -> None:
        self.store = store
        self.now = NOW
        self.lines: list[tuple[str, Mapping[str, Any]]] = []
        self.alerts: list[str] = []
        self.metrics = Metrics()
        self._keys = keys
        self._url = url
        self._lookups = lookups or Resolver()
        self.sender = self._new_sender()

    def _new_sender(self) -> WebhookSender:
        (webhook,) = webhook_settings(self._url, **self._keys).webhooks
        report = WebhookReport(self._log, self.metrics, lambda cause, *_: self.alerts.append(cause))
        context = PostContext(
            webhook=webhook,
            hostname="relay.test",
            client=ReceiverClient(webhook, self._lookups),
            cursor=Cursor("crm", self.store.webhooks, self.clock),
            report=report,
            clock=self.clock,
            random=lambda: 0.5,
            token=lambda: "ab" * 25,
            posts=deque(maxlen=200),
        )
        return WebhookSender(
            context,
            feed=self.store.feed,
            store=self.store.webhooks,
            leads=lambda: True,
            retention=lambda: 90 * 86400.0,
        )

    def _log(self, line: str, **fields: object) -> None:
        self.lines.append((line, fields))

    def clock(self) -> float:
        return self.now

    def logged(self, name: str) -> list[Mapping[str, Any]]:
        return [fields for line, fields in self.lines if line == name]

    @asynccontextmanager
    async def posting(self) -> AsyncIterator["WebhookHarness"]:
        """Open the client and the cursor, as a start of the relay does."""
        self.sender = self._new_sender()
        async with self.sender._context.client:
            await self.sender.cursor.begin(await self.store.feed.end())
            self.sender.began = True
            yield self

    async def rounds(self) -> None:
        """Run rounds until there is nothing to do now."""
        while await self.sender.round() == 0:
            pass

    async def later(self, seconds: float) -> None:
        """Let time pass, and do what is due then."""
        self.now += seconds
        await self.rounds()

    async def store_events(self, *kinds: Kind, queue_id: str = "Q1", **data: Any) -> None:
        """Store events of a message with a number of its own in their ids."""
        await self.store.events.record(
            [
                Event(kind, self.now, queue_id, 0, "ada@reader.test", {"id": f"{self.now}-{number}", **data})
                for number, kind in enumerate(kinds)
            ]
        )


def invoice(queue_id: str = "Q1", **changes: Any) -> Message:
    """A message of an application, with everything that bodies show."""
    message = Message(
        queue_id=queue_id,
        created_at=NOW,
        reverse_path="bounces@acme.test",
        policy=MessagePolicy(domain="acme.test", identity="billing@acme.test"),
        size=2048,
        message_id="<inv-1042@acme.test>",
        header_from="billing@acme.test",
        subject="Invoice 1042",
        tags=("invoice", "vip"),
        metadata={"invoice": "1042"},
    )
    return replace(message, **changes)


async def enqueue(store: Store, message: Message, *recipients: str) -> None:
    """Accept a message for these recipients."""
    made = accepted(message.queue_id, *(recipients or ("ada@reader.test",)))
    await store.queue.enqueue(replace(made, message=message))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(tmp_path / "relay.db", now=NOW)
    await enqueue(opened, invoice())
    yield opened
    await opened.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as opened:
        yield opened
