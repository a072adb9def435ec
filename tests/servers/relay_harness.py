"""The relay's side of a delivery test: settings, resolver and delivery, put together and closed again."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from relay.config.settings import Settings
from relay.delivery import SmtpDelivery
from relay.delivery.connect import TlsContexts
from relay.events.ports import StoreError
from relay.queue.outcome import Outcome
from relay.queue.ports import JournalRecord
from relay.queue.site_rate import RateChange
from relay.resolver import Resolver
from tests.servers.dns_server import DnsServer
from tests.servers.sink import Sink

LOOPBACK = ["127.0.0.0/8", "::1/128"]

MAX_TIMEOUT = 3600.0
"""Seconds, more than any timeout of a delivery."""


def settings(port: int = 25, provider: dict[str, Any] | None = None, **delivery: Any) -> Settings:
    """Return settings of a relay that may deliver to loopback at this port, with a provider "up" at 127.0.0.1."""
    upstream = {"name": "up", "host": "127.0.0.1", "port": port, "tls": "none", **(provider or {})}
    return Settings.model_validate(
        {
            "server": {"hostname": "relay.acme.test"},
            "delivery": {"port": port, "allow_networks": LOOPBACK, **delivery},
            "provider": [upstream],
        }
    )


@dataclass
class Notes:
    """A delivery journal and an observer in memory. `late` counts records that a task wrote."""

    records: list[JournalRecord] = field(default_factory=list)
    raised: list[str] = field(default_factory=list)
    late: int = 0

    def record(self, taken: JournalRecord) -> None:
        """See `DeliveryJournal`. The octets of a reply arrive in no task."""
        self.records.append(taken)
        self.late += asyncio.current_task() is not None

    def forget(self, queue_id: str, numbers: Sequence[int]) -> None:
        """See `DeliveryJournal`."""

    def unexpected(self, queue_id: str, error: BaseException) -> None:
        """See `QueueObserver`."""
        self.raised.append(repr(error))

    def alert(self, lane: str, category: str, reply: str, guidance: str) -> None:
        """See `QueueObserver`."""

    def clock_set(self, step: float) -> None:
        """See `QueueObserver`."""

    def site_changed(self, change: RateChange) -> None:
        """See `QueueObserver`."""

    def settled_plainly(self, queue_id: str, entries: int) -> None:
        """Nothing to do."""

    def store_trouble(self, error: StoreError) -> None:
        """See `QueueObserver`."""


def make_delivery(
    of: Callable[[], Settings], resolver: Resolver, notes: Notes | None = None, **more: Any
) -> SmtpDelivery:
    """Return a delivery whose journal is kept in memory."""
    notes = notes or Notes()
    return SmtpDelivery(of, resolver, journal=notes, observer=notes, clock=time.time, **more)


@asynccontextmanager
async def delivering(
    of: Settings,
    dns: DnsServer | None = None,
    *,
    notes: Notes | None = None,
    tls_contexts: TlsContexts | None = None,
    **steady: Any,
) -> AsyncIterator[SmtpDelivery]:
    """Yield a delivery with these settings. Without a DNS server every name fails to resolve."""
    resolver = dns.resolver() if dns else Resolver([("127.0.0.1", 9)], timeout=0.5, lifetime=1.0)
    delivery = make_delivery(lambda: of, resolver, notes, tls_contexts=tls_contexts, **steady)
    try:
        yield delivery
    finally:
        await delivery.close()


async def timing_out(attempt: Coroutine[Any, Any, Sequence[Outcome]], sink: Sink) -> Sequence[Outcome]:
    """Return what comes of a delivery. While the sink is silent, the loop's time runs, and timeouts with it.

    So no machine is too slow for the other steps, and no test waits for the timeout.
    """
    delivery = asyncio.ensure_future(attempt)
    silence = asyncio.ensure_future(sink.silent.wait())
    await asyncio.wait({delivery, silence}, return_when=asyncio.FIRST_COMPLETED)
    silence.cancel()
    loop, skipped = asyncio.get_running_loop(), 0.0
    true_time = loop.time
    with patch.object(loop, "time", lambda: true_time() + skipped):
        while not delivery.done():
            # What the sink said before is read first.
            for _ in range(20):
                await asyncio.sleep(0)
            if sink.silent.is_set():
                skipped += MAX_TIMEOUT
    return delivery.result()
