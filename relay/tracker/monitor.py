"""Tests regularly that base URLs reach the tracker, with canaries over HTTP."""

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from relay.clock import Clock
from relay.config.settings import Settings
from relay.events.ports import StoreError
from relay.log import Emit
from relay.metrics import Metrics
from relay.resolver import Resolver
from relay.rewrite.tokens import Keyring
from relay.tracker.canary import (
    MAX_NUMBER,
    BaseUrlState,
    BaseUrlStore,
    all_up,
    answered,
    canary,
    failed,
)

if TYPE_CHECKING:
    from relay.tracker.canary_client import CanaryClient

INTERVAL = 60.0
"""Seconds between two canaries of one base URL."""

RETRY = 10.0
"""Seconds between two canaries of a base URL that worked before and fails now."""

START_DELAY = 1.0
"""Seconds by which the first canaries may delay the start of the server."""

MAX_CONCURRENT = 20
"""Canaries in flight, at most."""


class TrackingMonitor:
    """Sends canaries through each base URL in use, and records through which the tracker does not answer.

    `resolver` makes a resolver with an empty cache. `alert` sends cause, subject and text to the operator.
    """

    def __init__(
        self,
        *,
        settings: Callable[[], Settings],
        keyring: Callable[[], Keyring],
        resolver: Callable[[], Resolver],
        memory: BaseUrlStore,
        metrics: Metrics,
        log: Emit,
        clock: Clock,
        alert: Callable[[str, str, str], None] = lambda cause, subject, text: None,  # noqa: ARG005
    ) -> None:
        self._settings = settings
        self._keyring = keyring
        self._resolver = resolver
        self._memory = memory
        self._metrics = metrics
        self._log = log
        self._clock = clock
        self._alert = alert
        self._hosts: dict[str, BaseUrlState] = {}
        self._due: dict[str, float] = {}
        self._slots = asyncio.Semaphore(MAX_CONCURRENT)

    async def start(self) -> None:
        """Load the base URLs that worked before, and check those in use for at most `START_DELAY` seconds."""
        with suppress(StoreError):  # Without the store, the next successful canary gives the same information.
            proven = await self._memory.answering_hosts()
            self._hosts = {base_url: BaseUrlState(base_url, proven=True) for base_url in proven}
        with suppress(TimeoutError):
            async with asyncio.timeout(START_DELAY):
                await self._check_due()

    async def run(self) -> None:
        """Check the base URLs in use regularly, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._check_due()
            now = loop.time()
            soonest = min((self._due.get(one, now) for one in self._base_urls()), default=now + INTERVAL)
            await asyncio.sleep(max(soonest - now, 1.0))

    def why_down(self, base_url: str) -> str:
        """Return the reason why mail must not have links of this base URL, "" if there is none."""
        host = self._hosts.get(base_url)
        return f"tracking: {base_url} {host.why}" if host is not None and host.down else ""

    def checks(self) -> Mapping[str, bool]:
        """Return the health of tracking, for /healthz and `relay status`."""
        return {"tracking": all_up(self._hosts[one] for one in self._base_urls() if one in self._hosts)}

    async def check(self, base_urls: Sequence[str] = ()) -> None:
        """Send canaries through these base URLs, or all in use, and record the results."""
        from relay.tracker.canary_client import CanaryClient  # Not at the top: it loads HTTP, and mail comes first.

        async with CanaryClient(self._resolver()) as client:
            await asyncio.gather(*(self._check(client, one) for one in base_urls or self._base_urls()))

    async def _check_due(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        due = [one for one in self._base_urls() if self._due.get(one, now) <= now]
        if due:
            await self.check(due)

        now = loop.time()
        for one in due:
            self._due[one] = now + (RETRY if self._hosts[one].broken else INTERVAL)

    def _base_urls(self) -> list[str]:
        senders = self._settings().senders
        switches = [senders.defaults.tracking, *(domain.tracking for domain in senders.domains.values())]
        return sorted({one.base_url for one in switches if one.base_url and (one.opens or one.clicks)})

    async def _check(self, client: "CanaryClient", base_url: str) -> None:
        async with self._slots:
            why = await client.fault(canary(self._keyring(), base_url, secrets.randbelow(MAX_NUMBER)))
        before = self._hosts.get(base_url, BaseUrlState(base_url))
        now = self._clock()
        after = failed(before, why, now) if why else answered(before)
        self._hosts[base_url] = after
        self._metrics.tracking_up.labels(base_url).set(not after.failures)
        await self._report(before, after, now)

    async def _report(self, before: BaseUrlState, after: BaseUrlState, now: float) -> None:
        base_url = after.base_url
        if after.down and not before.down:
            self._log("tracking.down", base_url=base_url, why=after.why)
            self._alert(f"tracking {base_url}", f"{base_url} does not reach the tracker", _ALERT.format(after))
        elif not after.proven and not before.failures:
            self._log("tracking.unproven", base_url=base_url, why=after.why)
        elif not after.failures and (before.down or (before.failures and not before.proven)):
            self._log("tracking.up", base_url=base_url, seconds=round(now - before.failing_since, 1))
        if after.proven and not before.proven:
            with suppress(StoreError):  # The state is in memory; a later process stores it.
                await self._memory.host_answered(base_url, now)


_ALERT = """{0.base_url} {0.why}.

Mail with this base URL is sent unrewritten until it answers again, so that readers get no dead links. No mail is lost,
but opens and clicks are not recorded. Check the proxy before the tracker, its certificate and its DNS. If only this
machine cannot reach the base URL, set guard = false under [tracker]."""
