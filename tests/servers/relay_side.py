"""The relay's side of a delivery test: settings, resolver and delivery, put together and closed again."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import patch

from relay.config.settings import Settings
from relay.delivery import SmtpDelivery
from relay.delivery.connect import TlsContexts
from relay.queue.outcome import Outcome
from relay.resolver import Resolver
from tests.servers.dns_server import DnsServer
from tests.servers.sink import Sink

LOOPBACK = ["127.0.0.0/8", "::1/128"]


LONGEST_TIMEOUT = 3600.0
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


@asynccontextmanager
async def delivering(
    of: Settings, dns: DnsServer | None = None, *, trust: TlsContexts | None = None, **clock: Any
) -> AsyncIterator[SmtpDelivery]:
    """Yield a delivery with these settings; without a DNS server every name is unknown territory."""
    resolver = dns.resolver() if dns else Resolver([("127.0.0.1", 9)], timeout=0.5, lifetime=1.0)
    delivery = SmtpDelivery(lambda: of, resolver, trust=trust, **clock)
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
                skipped += LONGEST_TIMEOUT
    return delivery.result()
