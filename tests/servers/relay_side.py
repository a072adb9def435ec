"""The relay's side of a delivery test: settings, resolver and delivery, put together and closed again."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from relay.config.settings import Settings
from relay.delivery import SmtpDelivery
from relay.delivery.tls import Trust
from relay.resolver import Resolver
from tests.servers.dns_server import DnsServer

LOOPBACK = ["127.0.0.0/8", "::1/128"]
QUICK: dict[str, Any] = {"connect_timeout": "2s", "command_timeout": "300ms", "data_timeout": "300ms"}
"""Timeouts short enough to be waited for."""


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
    of: Settings, dns: DnsServer | None = None, *, trust: Trust | None = None, **clock: Any
) -> AsyncIterator[SmtpDelivery]:
    """Yield a delivery with these settings; without a DNS server every name is unknown territory."""
    servers: Sequence[tuple[str, int]] = [dns.endpoint] if dns else [("127.0.0.1", 9)]
    delivery = SmtpDelivery(lambda: of, Resolver(servers, timeout=0.5, lifetime=1.0), trust=trust, **clock)
    try:
        yield delivery
    finally:
        await delivery.close()
