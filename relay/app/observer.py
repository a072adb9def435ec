"""The observer: turns events of the relay into log lines, metrics and alerts, and records if the store fails."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import assert_never

from relay.app.alerts import (
    Alert,
    identity_paused,
    lane_paused,
    mail_refused,
    message_damaged,
    settled_plainly,
    spam_dropped,
    store_recovered,
)
from relay.app.event_lines import log_line
from relay.app.outcome_counter import OutcomeCounter
from relay.app.tally_counter import TallyCounter
from relay.clock import Clock
from relay.dsn.categories import CATEGORIES
from relay.events.event import Event, Kind
from relay.events.ports import StoreError
from relay.log import Log
from relay.metrics import Metrics
from relay.queue.message import ALERT
from relay.queue.site_rate import RateChange
from relay.reports.store_audit import StoreAudit
from relay.submission.spam import SpamRequest, SpamResult

IN_FLIGHT_SECONDS = 0.25
"""Seconds after the last event of a message in which mail counts as in flight."""

MAX_LEAKS = 20
"""Leaks of one audit that are logged, at most."""

_RESULTS = frozenset({Kind.DELIVERED, Kind.DEFERRED, Kind.BOUNCED})


def _nothing() -> None:
    pass


def _no_site(_: str) -> str:
    return ""


class Observer:
    """Logs, counts and alerts. `store_failing` is set while the store does not answer."""

    def __init__(self, log: Log, clock: Clock, send_alert: Callable[[Alert], None]) -> None:
        self.log = log
        self.metrics = Metrics()
        self.outcomes = OutcomeCounter()
        self.tallies = TallyCounter()
        self.store_failing = asyncio.Event()
        self.store_faults = 0
        """Faults of the store since the start."""
        self._clock = clock
        self._mail_at = 0.0
        self._failing_since = 0.0
        self._spam_failing = False
        self._store_error = ""
        self.send_alert = send_alert
        """Sends an alert to the operator."""
        self.site_of: Callable[[str], str] = _no_site
        """Returns the site of a lane, "" if it is not known."""
        self.on_events: Callable[[], None] = _nothing
        """Called after events are durable: readers of the feed may look for them."""

    def publish(self, events: Sequence[Event]) -> None:
        """Log and count durable events."""
        self.log.several([log_line(event) for event in events])
        of_mail = [event for event in events if event.kind is not Kind.OPEN and event.kind is not Kind.CLICK]
        if len(of_mail) < len(events):
            self._count_readers(events)
            self.tallies.count_readers(events)
        if of_mail:
            self._mail_at = self._clock()
            self._count_mail(of_mail)
        self.on_events()

    def _count_readers(self, events: Sequence[Event]) -> None:
        """Count opens and clicks. They come in thousands a second, and are nothing but counted."""
        for kind in (Kind.OPEN, Kind.CLICK):
            found = [one.data for one in events if one.kind is kind and "simulated" not in one.data]
            if not found:
                continue
            machines = sum("machine" in data for data in found)
            proxies = sum("proxied" in data and "machine" not in data for data in found)
            self.metrics.count(kind.value, len(found))
            persons = len(found) - machines - proxies
            for verdict, number in (("person", persons), ("proxy", proxies), ("machine", machines)):
                if number:
                    self.metrics.engagement.labels(kind.value, verdict).inc(number)

    def _count_mail(self, events: Sequence[Event]) -> None:
        self.outcomes.count(events)
        self.tallies.count_mail(events)
        for event in events:
            self._observe(event)
            if "category" in event.data:
                self._alert_for(event)
            if "simulated" not in event.data:
                self._count_sent(event)

    def _count_sent(self, event: Event) -> None:
        """Count an event of mail that left. A bounce that a report brought later has no lane, and is no attempt."""
        kind = event.kind
        self.metrics.count(kind)
        if kind in _RESULTS and "lane" in event.data:
            lane, category = str(event.data["lane"]), str(event.data.get("category", ""))
            self.metrics.deliveries.count(lane, self.site_of(lane), kind, category)

    def _observe(self, event: Event) -> None:
        """Record the delivery delay, log an unknown unsubscribe, and send an alert about a damaged message."""
        if event.kind is Kind.DELIVERED:
            delay = event.data.get("delay")
            if isinstance(delay, float) and "simulated" not in event.data:
                self.metrics.delay.observe(delay)
        elif event.kind is Kind.UNSUBSCRIBE and event.data.get("joined") is False:
            self.log("unsubscribe.unknown", queue_id=event.queue_id, number=event.number)
        elif event.kind is Kind.HELD:
            self.metrics.damaged.inc()
            self.send_alert(message_damaged(event.queue_id, str(event.data.get("reason", ""))))

    def _alert_for(self, event: Event) -> None:
        """Send an alert about a failure that a retry does not correct, except a failure of an alert itself."""
        about = CATEGORIES.get(str(event.data.get("category", "")))
        if about is not None and about.alert and ALERT not in event.data and "simulated" not in event.data:
            domain, reply, remote = (str(event.data.get(key, "")) for key in ("domain", "reply", "remote"))
            self.send_alert(mail_refused(about, domain, reply, remote, event.queue_id))

    def mail_in_flight(self) -> bool:
        """Return True if a message had an event just now that is not of a reader."""
        return 0 <= self._clock() - self._mail_at < IN_FLIGHT_SECONDS

    def smtp(self, line: str, **fields: object) -> None:
        """Log a line of the SMTP server, and count accepted messages, refusals and failed logins."""
        match line:
            case "smtp.accepted":
                self._count_accepted(str(fields["listener"]), fields["size"])
            case "smtp.refused":
                self.metrics.refused.labels(str(fields["reply"])[:3]).inc()
            case "smtp.auth_failed":
                self.metrics.auth_failures.labels(str(fields["listener"])).inc()
        self.log(line, **fields)

    def _count_accepted(self, listener: str, size: object) -> None:
        self.metrics.smtp_accepted[listener,] += 1
        if isinstance(size, int):
            self.metrics.smtp_bytes[listener,] += size

    def unexpected(self, queue_id: str, error: BaseException) -> None:
        """Log an unexpected exception of an attempt."""
        self.log("delivery.failed", queue_id=queue_id, error=repr(error))

    def alert(self, lane: str, category: str, reply: str, guidance: str) -> None:
        """Log, count and report the pause of a lane."""
        self.metrics.alerts.labels(category).inc()
        self.log("delivery.paused", lane=lane, category=category, reply=reply, guidance=guidance)
        self.send_alert(lane_paused(lane, category, reply, guidance))

    def store_fault(self) -> str:
        """Return why the store does not answer, "" while it does."""
        return self._store_error if self.store_failing.is_set() else ""

    def site_changed(self, change: RateChange) -> None:
        """Log a change of the rate of a site."""
        site, rate, why = change.site, round(change.rate, 1), change.why
        match change.kind:
            case "slowed":
                self.log("site.slowed", site=site, rate=rate, why=why)
            case "probed":
                self.log("site.probed", site=site, rate=rate, why=why)
            case "recovered":
                self.log("site.recovered", site=site, rate=rate, why=why)
            case "unlimited":
                self.log("site.unlimited", site=site, why=why)
            case never:
                assert_never(never)

    def identity_paused(self, address: str, cause: str, why: str) -> None:
        """Log, count and report the pause of an identity."""
        self.metrics.identity_pauses.labels(cause).inc()
        self.log("identity.paused", identity=address, cause=cause, why=why)
        self.send_alert(identity_paused(address, why))

    def identity_resumed(self, address: str, entries: int) -> None:
        """Log the end of the pause of an identity."""
        self.log("identity.resumed", identity=address, entries=entries)

    def clock_set(self, step: float) -> None:
        """Log a step of the system clock, in seconds."""
        self.log("clock.set", seconds=round(step, 1))

    def journal_failing(self, error: OSError) -> None:
        """Log that the delivery journal cannot be written."""
        self.log("queue.journal_failing", error=str(error))

    def audited(self, found: StoreAudit, seconds: float) -> None:
        """Log and count the result of an audit, with its first leaks."""
        self.metrics.audit_leaks.set(found.leak_count)
        for leak in found.leaks[:MAX_LEAKS]:
            number = leak.number if leak.number >= 0 else None
            self.log("audit.leak", queue_id=leak.queue_id, number=number, identity=leak.identity, fault=leak.fault)
        total = found.total()
        self.log("audit.done", **total, leaks=found.leak_count, seconds=round(seconds, 1))

    def render_failed(self, queue_id: str, reason: str) -> None:
        """Log and count a message that could not be rendered."""
        self.metrics.render_failures.inc()
        self.log("render.failed", queue_id=queue_id, reason=reason)

    def renderer_ended(self, reason: str, wait: float) -> None:
        """Log and count the end of a renderer, which restarts after `wait` seconds."""
        self.metrics.render_restarts.inc()
        self.log("render.restarting", reason=reason, wait=wait)

    def spam_checked(self, request: SpamRequest, result: SpamResult) -> None:
        """Count a checked message; log spam and send an alert. Log once that the filter works again."""
        self.metrics.spam_checks.labels(result.verdict).inc()
        if self._spam_failing:
            self._spam_failing = False
            self.log("spam.recovered")
        if result.verdict == "spam":
            sender = request.credential or request.client
            about = {"queue_id": request.queue_id, "sender": sender, "reverse_path": request.reverse_path}
            self.log("spam.dropped", **about, **result.event_fields)
            self.send_alert(spam_dropped(sender, request.reverse_path, result.reason, request.queue_id))

    def spam_unchecked(self, why: str) -> None:
        """Count a message that could not be checked; log once that the filter fails."""
        self.metrics.spam_checks.labels("unchecked").inc()
        if not self._spam_failing:
            self._spam_failing = True
            self.log("spam.failed", error=why)

    def settled_plainly(self, queue_id: str, entries: int) -> None:
        """Log and report a settlement that could not be written as it was."""
        self.log("queue.settled_plainly", queue_id=queue_id, entries=entries)
        self.send_alert(settled_plainly(queue_id))

    def store_trouble(self, error: StoreError) -> None:
        """Count a fault of the store; log once that it fails."""
        self.store_faults += 1
        if not self.store_failing.is_set():
            self.store_failing.set()
            self._failing_since, self._store_error = self._clock(), str(error)
            self.metrics.store_trouble.set(1)
            self.metrics.store_up.set(0)
            self.log("store.trouble", error=str(error), full=error.full)

    def store_recovered(self) -> None:
        """Log once that the store works again, and send an alert."""
        if self.store_failing.is_set():
            self.store_failing.clear()
            self.metrics.store_trouble.set(0)
            self.metrics.store_up.set(1)
            seconds = self._clock() - self._failing_since
            self.log("store.recovered", seconds=round(seconds, 1))
            self.send_alert(store_recovered(seconds, self._store_error))

    def checks(self) -> Mapping[str, bool]:
        """Return the health of the store, for /healthz."""
        return {"store": not self.store_failing.is_set()}
