"""The observer: tells what happens, in log lines and metrics, and whether the store is in trouble."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from relay.app.alerts import Alert, lane_paused, mail_refused, store_was_away
from relay.clock import Clock
from relay.dsn.categories import CATEGORIES
from relay.events.event import Event, Kind
from relay.events.ports import StoreError
from relay.log import Line, Log
from relay.metrics import HourlyCounts, Metrics
from relay.queue.message import ALERT

UNDER_WAY = 0.25
"""Seconds after the last thing that happened to a message during which mail counts as under way."""


_READERS = frozenset({Kind.OPEN, Kind.CLICK})


class Observer:
    """Hears of everything that must be seen; `in_trouble` is set while the store does not take what it must."""

    def __init__(self, log: Log, clock: Clock) -> None:
        self.log = log
        self.metrics = Metrics()
        self.last_hour = HourlyCounts()
        self.store_failing = asyncio.Event()
        self._clock = clock
        self._mail_at = 0.0
        self._trouble_since = 0.0
        self._trouble = ""
        self.send_alert: Callable[[Alert], None] = _nobody
        """Hears of what a person has to look at."""

    def publish(self, events: Sequence[Event]) -> None:
        """Tell of events that are durable: one log line and one count each."""
        now = self._clock()
        self.log.several([line_of(event) for event in events])
        for event in events:
            if event.kind not in _READERS:
                self._mail_at = now
                self._look_into(event)
        for kind, number in Counter(event.kind.value for event in events).items():
            self.metrics.count(kind, number)
            self.last_hour.count(kind, now, number)

    def _look_into(self, event: Event) -> None:
        """Tell what there is to say of an event beside that it happened."""
        if event.kind is Kind.UNSUBSCRIBE and event.data.get("joined") is False:
            self.log("unsubscribe.unknown", queue_id=event.queue_id, number=event.number)
        delay = event.data.get("delay")
        if event.kind is Kind.DELIVERED and isinstance(delay, float):
            self.metrics.delay.observe(delay)
        self._alert_of(event)

    def _alert_of(self, event: Event) -> None:
        """Tell the operator of a failure that waiting does not mend; not of one that an alert itself met with."""
        about = CATEGORIES.get(str(event.data.get("category", "")))
        if about is not None and about.alert and ALERT not in event.data:
            domain, reply, remote = (str(event.data.get(key, "")) for key in ("domain", "reply", "remote"))
            self.send_alert(mail_refused(about, domain, reply, remote, event.queue_id))

    def mail_is_under_way(self) -> bool:
        """Tell whether something happened to a message just now that no reader did."""
        return 0 <= self._clock() - self._mail_at < UNDER_WAY

    def smtp(self, line: str, **fields: object) -> None:
        """Log a line of the SMTP server, and count refusals."""
        if line == "smtp.refused":
            self.metrics.refused.labels(str(fields["reply"])[:3]).inc()
        self.log(line, **fields)

    def unexpected(self, queue_id: str, error: BaseException) -> None:
        """Log what an attempt raised."""
        self.log("delivery.failed", queue_id=queue_id, error=repr(error))

    def alert(self, lane: str, category: str, reply: str, guidance: str) -> None:
        """Tell the operator that a lane was paused, and what to do."""
        self.metrics.alerts.labels(category).inc()
        self.log("delivery.paused", lane=lane, category=category, reply=reply, guidance=guidance)
        self.send_alert(lane_paused(lane, category, reply, guidance))

    def clock_set(self, step: float) -> None:
        """Log that the wall clock was set."""
        self.log("clock.set", seconds=round(step, 1))

    def journal_failing(self, error: OSError) -> None:
        """Log that deliveries are not noted any more."""
        self.log("queue.journal_failing", error=str(error))

    def render_failed(self, queue_id: str, reason: str) -> None:
        """Log and count a message that a renderer could not take."""
        self.metrics.render_failures.inc()
        self.log("render.failed", queue_id=queue_id, reason=reason)

    def renderer_ended(self, reason: str, wait: float) -> None:
        """Log and count the end of a renderer."""
        self.metrics.render_restarts.inc()
        self.log("render.restarting", reason=reason, wait=wait)

    def store_trouble(self, error: StoreError) -> None:
        """Log once that the store is in trouble."""
        if not self.store_failing.is_set():
            self.store_failing.set()
            self._trouble_since, self._trouble = self._clock(), str(error)
            self.metrics.store_trouble.set(1)
            self.log("store.trouble", error=str(error), full=error.full)

    def store_recovered(self) -> None:
        """Log once that it is out of it."""
        if self.store_failing.is_set():
            self.store_failing.clear()
            self.metrics.store_trouble.set(0)
            seconds = self._clock() - self._trouble_since
            self.log("store.recovered", seconds=round(seconds, 1))
            self.send_alert(store_was_away(seconds, self._trouble))

    def checks(self) -> Mapping[str, bool]:
        """Return what works, for /healthz."""
        return {"store": not self.store_failing.is_set()}


def line_of(event: Event) -> Line:
    """Return the log line of an event."""
    return f"message.{event.kind.value}", {"queue_id": event.queue_id, "recipient": event.address, **event.data}


def _nobody(_: Alert) -> None:
    """Hear of an alert before there is anybody to tell."""
