"""All webhooks of a relay: a sender for each, started and stopped as the configuration has them."""

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from random import SystemRandom

from relay.clock import Clock
from relay.config.settings import Settings
from relay.config.webhooks import Webhook
from relay.events.ports import StoreError
from relay.queue.ports import NodeStore
from relay.resolver import Lookups
from relay.webhooks.cursor import Cursor
from relay.webhooks.feed import EventFeed
from relay.webhooks.ports import WebhookStore
from relay.webhooks.poster import Poster
from relay.webhooks.posting import PostContext
from relay.webhooks.report import WebhookReport
from relay.webhooks.sender import WebhookSender

HOUSEKEEPING = 3600.0
"""Seconds between two clean-ups of the tables."""

FORGOTTEN_AFTER = 86400.0
"""Seconds after which a webhook that is not configured any more loses its cursor."""


@dataclass(frozen=True, slots=True)
class _Running:
    sender: WebhookSender
    task: asyncio.Task[None]


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
        """Look for new events: some were stored."""
        for one in self._running.values():
            one.sender.wake()

    def reload(self) -> None:
        """Use the settings in force."""
        self._changed.set()

    def poster(self, webhook: Webhook) -> Poster:
        """Return a client for the receiver of a webhook."""
        return Poster(webhook, self._lookups)

    async def begin(self) -> None:
        """Let new webhooks begin here, before mail is accepted. Raises StoreError."""
        if self.configured():
            end, now = await self.feed.end(), self.clock()
            for name in self.configured():
                await self.store.begin(name, end, now)

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
        await self._end([name for name, one in self._running.items() if wanted.get(name) != one.sender.webhook])
        for name, webhook in wanted.items():
            if name not in self._running:
                sender = self._new_sender(webhook)
                self._running[name] = _Running(sender, asyncio.create_task(sender.run(), name=f"webhook {name}"))

    def _new_sender(self, webhook: Webhook) -> WebhookSender:
        context = PostContext(
            webhook=webhook,
            hostname=self._settings().server.hostname,
            poster=self.poster(webhook),
            cursor=Cursor(webhook.name, self.store, self.clock),
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
        tasks = [self._running.pop(name).task for name in names]
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
            tasks = {changed, *(one.task for one in self._running.values())}
            done, _ = await asyncio.wait(tasks, timeout=HOUSEKEEPING, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {changed}:
                task.result()
        finally:
            changed.cancel()


def new_token() -> str:
    """Return 50 random hexadecimal digits."""
    return secrets.token_hex(25)
