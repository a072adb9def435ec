"""All webhooks of a relay: a sender for each, started and stopped as the configuration has them."""

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from random import SystemRandom

from relay.clock import Clock
from relay.config.settings import Settings
from relay.config.webhooks import Webhook
from relay.events.ports import StoreError
from relay.queue.node_ports import NodeStore
from relay.resolver import Lookups
from relay.webhooks.cursor import Cursor
from relay.webhooks.feed import EventFeed
from relay.webhooks.filters import senders_of
from relay.webhooks.operator_events import OperatorPosts, operator_body
from relay.webhooks.ports import WebhookStore
from relay.webhooks.posting import PostContext
from relay.webhooks.receiver_client import ReceiverClient
from relay.webhooks.report import WebhookReport
from relay.webhooks.sender import WebhookSender

MAINTENANCE = 3600.0
"""Seconds between two clean-ups of the tables."""

FORGOTTEN_AFTER = 86400.0
"""Seconds after which a webhook that is not configured any more loses its cursor."""


@dataclass(frozen=True, slots=True)
class _Running:
    sender: WebhookSender
    operator: OperatorPosts
    tasks: tuple[asyncio.Task[None], ...]


class Webhooks:
    """The webhooks of one relay. Of several nodes the one that leads posts for all."""

    def __init__(
        self,
        *,
        settings: Callable[[], Settings],
        feed: EventFeed,
        store: WebhookStore,
        nodes: NodeStore,
        report: WebhookReport,
        lookups: Lookups,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self.feed = feed
        self.store = store
        self.report = report
        self.clock = clock
        self._nodes = nodes
        self._lookups = lookups
        self._random = SystemRandom().random
        self._running: dict[str, _Running] = {}
        self._listeners: set[asyncio.Event] = set()
        self._changed = asyncio.Event()

    def senders(self) -> Mapping[str, WebhookSender]:
        """Return the senders that run, by name."""
        return {name: one.sender for name, one in self._running.items()}

    def configured(self) -> Mapping[str, Webhook]:
        """Return the webhooks of the settings in force, by name."""
        return {webhook.name: webhook for webhook in self._settings().webhooks}

    def leads(self) -> bool:
        """Return True if this node posts."""
        return self._nodes.leads

    def wake(self) -> None:
        """Make all readers of the feed read the events that were stored."""
        for one in self._running.values():
            one.sender.wake()
        for woken in self._listeners:
            woken.set()

    def listening(self) -> asyncio.Event:
        """Return an event that is set whenever events were stored, until it is given to `forget`."""
        woken = asyncio.Event()
        self._listeners.add(woken)
        return woken

    def forget(self, woken: asyncio.Event) -> None:
        """Set it no more."""
        self._listeners.discard(woken)

    def operator_event(self, kind: str, fields: Mapping[str, object]) -> None:
        """Post an event of the relay itself to the webhooks that ask for it. Neither waits nor raises."""
        wanting = [one.operator for one in self._running.values() if kind in one.operator.types]
        if wanting:
            body = operator_body(kind, fields, self._settings().server.hostname, self.clock())
            for one in wanting:
                one.add(body)

    def reload(self) -> None:
        """Use the settings in force."""
        self._changed.set()

    def client(self, webhook: Webhook) -> ReceiverClient:
        """Return a client for the receiver of a webhook."""
        return ReceiverClient(webhook, self._lookups)

    async def run(self) -> None:
        """Run all senders until cancelled. Raises what one of them raises: a defect."""
        try:
            while True:
                self._changed.clear()
                await self._adapt()
                await self._clean_up()
                await self._watch()
        finally:
            await self._end(list(self._running))

    async def _adapt(self) -> None:
        """Stop senders whose webhook changed, and start those that are missing."""
        wanted = self.configured()
        ended = [name for name, one in self._running.items() if wanted.get(name) != one.sender.webhook]
        await self._end(ended)
        await self._clear([name for name in ended if name not in wanted])
        for name, webhook in wanted.items():
            if name not in self._running:
                self._running[name] = self._start(webhook)

    async def _clear(self, removed: Sequence[str]) -> None:
        """Forget what a removed webhook did: another one may get its name."""
        if self.leads():
            with suppress(StoreError):
                for name in removed:
                    await self.store.clear(name)

    def _start(self, webhook: Webhook) -> _Running:
        sender = self._new_sender(webhook)
        operator = OperatorPosts(webhook, self._settings().server.hostname, self.client(webhook), self.clock)
        works = [sender.run(), *([operator.run()] if operator.types else [])]
        tasks = tuple(asyncio.create_task(work, name=f"webhook {webhook.name}") for work in works)
        return _Running(sender, operator, tasks)

    def _new_sender(self, webhook: Webhook) -> WebhookSender:
        context = PostContext(
            webhook=webhook,
            hostname=self._settings().server.hostname,
            client=self.client(webhook),
            cursor=Cursor(webhook.name, self.store, self.clock, senders_of(webhook)),
            report=self.report,
            clock=self.clock,
            random=self._random,
            token=new_token,
            posts=deque(maxlen=200),
        )
        return WebhookSender(
            context,
            feed=self.feed,
            store=self.store,
            leads=self.leads,
            retention=lambda: self._settings().queue.retention,
        )

    async def _end(self, names: list[str]) -> None:
        tasks = [task for name in names for task in self._running.pop(name).tasks]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _clean_up(self) -> None:
        if self.leads():
            now = self.clock()
            retained = now - self._settings().queue.retention
            with suppress(StoreError):
                await self.store.forget(list(self.configured()), now - FORGOTTEN_AFTER, retained)

    async def _watch(self) -> None:
        """Wait for a change of the settings, or for the next clean-up; raise what a sender raises."""
        changed = asyncio.create_task(self._changed.wait(), name="webhooks changed")
        try:
            tasks = {changed, *(task for one in self._running.values() for task in one.tasks)}
            done, _ = await asyncio.wait(tasks, timeout=MAINTENANCE, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {changed}:
                task.result()
        finally:
            changed.cancel()


def new_token() -> str:
    """Return 50 random hexadecimal digits."""
    return secrets.token_hex(25)
