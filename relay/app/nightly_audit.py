"""The nightly audit: once a day, in one of the nodes, with a log line, a metric and an alert for leaks."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from relay.app.alerts import Alert
from relay.app.observer import MAX_LEAKS, Observer
from relay.clock import Clock
from relay.config.settings import Settings
from relay.events.ports import StoreError
from relay.queue.node_ports import NodeStore
from relay.reports.ports import AuditStore
from relay.reports.run_audit import run_audit
from relay.reports.store_audit import StoreAudit

AT_HOUR = 3
"""Hour of the day, in local time, at which the audit begins."""

STEP_PAUSE = 0.02
"""Seconds between two steps, at least."""

PAUSE_FACTOR = 4.0
"""The pause after a step, as a multiple of its duration: an audit takes at most a fifth of a core."""

CHECK_INTERVAL = 60.0
"""Seconds between two reads of the clock, which may be set."""


def next_audit(after: float) -> float:
    """Return the Unix time of the next audit after a time."""
    then = datetime.fromtimestamp(after).astimezone()
    at = then.replace(hour=AT_HOUR, minute=0, second=0, microsecond=0)
    return (at if at > then else at + timedelta(days=1)).timestamp()


class NightlyAudit:
    """Runs the audit each night while `queue.nightly_audit` is on."""

    def __init__(
        self,
        settings: Callable[[], Settings],
        store: AuditStore,
        nodes: NodeStore,
        observer: Observer,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._store = store
        self._nodes = nodes
        self._observer = observer
        self._clock = clock

    async def run(self) -> None:
        """Run until cancelled. An audit that fails is repeated a minute later."""
        due = next_audit(self._clock())
        while True:
            await asyncio.sleep(CHECK_INTERVAL)
            due = await self.run_if_due(due)

    async def run_if_due(self, due: float) -> float:
        """Audit the store if the time `due` has come; return when the next audit is due."""
        now = self._clock()
        if now < due:
            # A clock that was set backward must not delay the audit by more than a day.
            return min(due, next_audit(now))
        if self._nodes.leads and self._settings().queue.nightly_audit:
            try:
                await self.audit()
            except StoreError as error:
                self._observer.store_trouble(error)
                return due
        return next_audit(now)

    async def audit(self) -> StoreAudit:
        """Audit the store now, and report the result."""
        began = self._clock()
        loop = asyncio.get_running_loop()
        step_began = loop.time()

        async def rest() -> None:
            nonlocal step_began
            await asyncio.sleep(max(STEP_PAUSE, PAUSE_FACTOR * (loop.time() - step_began)))
            step_began = loop.time()

        found = await run_audit(self._store, began - self._settings().queue.retention, rest)
        self._observer.audited(found, self._clock() - began)
        if not found.is_balanced:
            self._observer.send_alert(leaks_found(found))
        return found


def leaks_found(found: StoreAudit) -> Alert:
    """Return the alert about leaks."""
    named = [
        f"  {leak.day} {leak.queue_id}{f'/{leak.number}' if leak.number >= 0 else ''}: {leak.fault}"
        for leak in found.leaks[:MAX_LEAKS]
    ]
    more = found.leak_count - len(named)
    lines = (
        f"The audit compared {found.total()['accepted']} accepted recipients with their entries and events.",
        f"It found {found.leak_count} leaks:",
        "",
        *named,
        *([f"  and {more} more"] if more else []),
        "",
        "What to do:  relay audit lists them; relay trace ID shows a message. Check the disk and the backups, and",
        "             report the leak as a defect: entry and event of a recipient are one transaction.",
    )
    return Alert("audit", f"the audit found {found.leak_count} leaks", "\n".join(lines))
