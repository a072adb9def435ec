"""The door for alerts: what a person has to look at goes to the operator by mail, once an hour for each cause."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from relay.clock import Clock
from relay.config.settings import Settings
from relay.mail.address import domain_of
from relay.queue.alert_mail import ALERT, Alert, Post, alert_message
from relay.queue.ports import Publish, QueueStore, StoreError
from relay.reports.ports import MessageQuery, StoryStore

QUIET = 3600.0
"""Seconds in which a cause is told of once."""

STORE_RETRY = 5.0
"""Seconds until a store that could not take an alert is asked again."""

_MOST_WAITING = 100


@dataclass(frozen=True, slots=True)
class AlertTools:
    """What alerts are sent with."""

    settings: Callable[[], Settings]
    store: QueueStore
    stories: StoryStore
    clock: Clock
    new_id: Callable[[float], str]
    publish: Publish
    wake: Callable[[], None]
    """Tells the runner that something is due."""


class Alerts:
    """Sends alerts through the queue, as local mail. Does nothing while `alerts.mail_to` is empty."""

    def __init__(self, tools: AlertTools) -> None:
        self._tools = tools
        self._told: dict[str, float] = {}
        self._waiting: asyncio.Queue[Alert] = asyncio.Queue(_MOST_WAITING)

    def alert(self, cause: str, subject: str, text: str) -> None:
        """Tell the operator: what happened in one line, and in text what was said and what to do.

        Further alerts of the same cause are left out for an hour. Never blocks and never raises.
        """
        self.send(Alert(cause, subject, text))

    def send(self, alert: Alert) -> None:
        """Send an alert that was composed elsewhere, by the same rule."""
        now = self._tools.clock()
        if not self._tools.settings().alerts.mail_to or self._waiting.full():
            return
        self._told = {cause: at for cause, at in self._told.items() if now - at < QUIET}
        if alert.cause in self._told:
            return
        self._told[alert.cause] = now
        self._waiting.put_nowait(alert)

    async def run(self) -> None:
        """Put alerts into the queue until cancelled; a store that is away is waited for."""
        while True:
            alert = await self._waiting.get()
            while True:
                try:
                    await self._enqueue(alert)
                    break
                except StoreError:
                    await asyncio.sleep(STORE_RETRY)

    async def _enqueue(self, alert: Alert) -> None:
        """Put the alert into the queue, unless an earlier process did so within the hour."""
        now = self._tools.clock()
        lately = MessageQuery(metadata={ALERT: alert.cause}, since=now - QUIET, limit=1)
        if await self._tools.stories.stories(lately):
            return
        accepted = alert_message(alert, post_of(self._tools.settings()), self._tools.new_id(now), now)
        await self._tools.store.enqueue(accepted)
        self._tools.publish(accepted.events)
        self._tools.wake()


def post_of(settings: Settings) -> Post:
    """Return who alerts come from, who gets them, and which way they go."""
    hostname = settings.server.hostname
    address = settings.alerts.mail_from or f"postmaster@{hostname}"
    domain = domain_of(address)
    return Post(
        hostname,
        address,
        settings.alerts.mail_to,
        settings.providers_for(address),
        domain if domain in settings.domains else "",
        settings.queue.lifetime,
    )
