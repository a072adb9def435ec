"""A receiver that allows 20 messages a minute is found by the real queue and SMTP client, in moved time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from relay.queue.site_rate import SiteRate
from tests.servers import DnsServer, Say, Sink
from tests.servers.actions import Action
from tests.servers.relay_harness import make_delivery
from tests.servers.relay_harness import settings as delivery_settings
from tests.unit.queue_harness import Harness, running
from tests.unit.receivers import FixedWindow

ZONE = "a.test. MX 10 mx.site.test.\nb.test. MX 10 mx.site.test.\nmx.site.test. A 127.0.0.1"


class SlowSink(Sink):
    """Accepts what its window allows; asks for the rest to come later."""

    window: FixedWindow
    harness: Harness
    slowed = 0

    def action(self, moment: str) -> Action | None:
        if moment == "MAIL" and not self.window.accepts(self.harness.now):
            self.slowed += 1
            return Say("451 4.7.0 You send too many messages per minute, slow down")
        return super().action(moment)


@asynccontextmanager
async def sending(folder: Path, most: int) -> AsyncIterator[tuple[Harness, SlowSink]]:
    async with SlowSink() as sink, DnsServer(ZONE) as dns:
        of = delivery_settings(sink.port, None)
        async with running(folder, of) as harness:
            sink.window, sink.harness = FixedWindow(most), harness
            delivery = make_delivery(lambda: of, dns.resolver(), share=harness.context.rates.connections)
            harness.delivery.real = delivery
            yield harness, sink
            await delivery.close()


async def run_for(harness: Harness, minutes: float) -> None:
    """Move the clock to the next time at which the site accepts a message; then the queue does all that it can."""
    end = harness.now + 60 * minutes
    while harness.now < end:
        release = harness.context.rates.next_release(harness.now)
        harness.now = max(harness.now + 0.5, min(release or 0.0, harness.now + 10.0))
        await harness.until_idle()


def found(harness: Harness) -> SiteRate:
    traffic = harness.context.rates.traffic("mx.site.test")
    assert traffic is not None
    assert traffic.rate is not None
    return traffic.rate


async def test_a_receiver_that_allows_20_a_minute_is_found_and_a_restart_keeps_it(tmp_path: Path) -> None:
    async with sending(tmp_path, 20) as (harness, sink):
        for number in range(330):
            domain = "ab"[number % 2]
            await harness.enqueue(f"u{number}@{domain}.test", queue_id=f"0000000000{number:04}")
        await run_for(harness, 15)
        assert found(harness).found == pytest.approx(20, rel=0.1)
        assert sink.slowed / (sink.slowed + len(sink.messages)) < 0.05
        assert len(sink.messages) > 0.85 * 15 * 20
        await harness.runner.shared_rates.exchange()
        before = found(harness)

    async with sending(tmp_path, 20) as (harness, _):
        await harness.runner.shared_rates.load()
        assert found(harness).found == before.found
