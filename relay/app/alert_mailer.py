"""The mailer of alerts, with at most one mail per cause and hour."""

import asyncio
from collections.abc import Callable

from relay.app.alerts import Alert, alert_message, alert_route
from relay.clock import Clock
from relay.config.settings import Settings
from relay.events.ports import Publish, StoreError
from relay.queue.message import ALERT
from relay.queue.ports import QueueStore
from relay.reports.ports import MessageQuery, StoryStore

INTERVAL = 3600.0
"""Seconds between two alerts of one cause."""

STORE_RETRY = 5.0
"""Seconds between two attempts to store an alert."""

_MAX_WAITING = 100
"""Alerts waiting for the store, at most; further ones are dropped."""


def _ignored(_: Alert) -> None:
    pass


class AlertQueue:
    """Alerts waiting for the mailer, at most one per cause and hour.

    No mail is sent while `alerts.mail_to` is empty.
    """

    def __init__(self, settings: Callable[[], Settings], clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._sent_at: dict[str, float] = {}
        self._waiting: asyncio.Queue[Alert] = asyncio.Queue(_MAX_WAITING)
        self.on_alert: Callable[[Alert], None] = _ignored
        """Called with each alert that is not throttled, also without recipients of mail."""

    def alert(self, cause: str, subject: str, text: str) -> None:
        """Queue an alert mail. `text` has the details and the action to take.

        Further alerts of the same cause are dropped for an hour. Never blocks and never raises.
        """
        self.send(Alert(cause, subject, text))

    def send(self, alert: Alert) -> None:
        """Queue an alert, with the same throttle."""
        now, mails = self._clock(), bool(self._settings().alerts.mail_to)
        if mails and self._waiting.full():
            return

        self._sent_at = {cause: at for cause, at in self._sent_at.items() if now - at < INTERVAL}
        if alert.cause in self._sent_at:
            return

        self._sent_at[alert.cause] = now
        self.on_alert(alert)
        if mails:
            self._waiting.put_nowait(alert)

    async def next(self) -> Alert:
        """Wait for an alert, and remove it from the queue."""
        return await self._waiting.get()


class AlertMailer:
    """Sends waiting alerts through the mail queue. `wake` makes the runner claim due entries."""

    def __init__(
        self,
        waiting: AlertQueue,
        *,
        settings: Callable[[], Settings],
        store: QueueStore,
        stories: StoryStore,
        clock: Clock,
        new_id: Callable[[float], str],
        publish: Publish,
        wake: Callable[[], None],
    ) -> None:
        self._waiting = waiting
        self._settings = settings
        self._store = store
        self._stories = stories
        self._clock = clock
        self._new_id = new_id
        self._publish = publish
        self._wake = wake

    async def run(self) -> None:
        """Enqueue alerts until cancelled, and retry while the store fails."""
        while True:
            alert = await self._waiting.next()
            while True:
                try:
                    await self._enqueue(alert)
                    break
                except StoreError:
                    await asyncio.sleep(STORE_RETRY)

    async def _enqueue(self, alert: Alert) -> None:
        """Enqueue the alert, unless an earlier process did so within the hour."""
        now = self._clock()
        recent = MessageQuery(metadata={ALERT: alert.cause}, since=now - INTERVAL, limit=1)
        if await self._stories.stories(recent):
            return

        accepted = alert_message(alert, alert_route(self._settings()), self._new_id(now), now)
        await self._store.enqueue(accepted)
        self._publish(accepted.events)
        self._wake()
