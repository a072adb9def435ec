"""What Prometheus and a load balancer see of a whole relay."""

import asyncio
import smtplib
from pathlib import Path

import aiohttp
import pytest

from tests.ports import free_port
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink
from tests.servers.waiting import PATIENCE

MAIL = b"From: a@acme.test\r\nTo: u@rcpt.test\r\nSubject: hello\r\n\r\nHello\r\n"


def send(port: int) -> None:
    """Send one mail that is taken, and one that is refused at MAIL and one at the end of data."""
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        client.sendmail("a@acme.test", ["u@rcpt.test"], MAIL)
        with pytest.raises(smtplib.SMTPSenderRefused, match="550"):
            client.sendmail("locked@acme.test", ["u@rcpt.test"], MAIL)
        with pytest.raises(smtplib.SMTPDataError, match="554"):
            client.sendmail("a@acme.test", ["u@rcpt.test"], b"X-Relay-Track: maybe\r\n" + MAIL)


async def test_metrics_and_health_are_served(tmp_path: Path) -> None:
    port = free_port()
    more = f"""
[metrics]
address = "127.0.0.1:{port}"
[identities."locked@acme.test"]
credentials = ["app1"]
[credentials.app1]
secret_hash = "blake2b:AAAAAAAAAAAAAAAAAAAAAA==:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
"""
    async with Sink() as sink, RelayProcess(tmp_path, sink.port, more) as relay:
        await asyncio.to_thread(send, relay.port)
        await sink.received(1)
        async with aiohttp.ClientSession() as client, asyncio.timeout(PATIENCE):
            told = ""
            while 'relay_events_total{kind="delivered"} 1.0' not in told:
                async with client.get(f"http://127.0.0.1:{port}/metrics") as answer:
                    told = await answer.text()
            assert 'relay_events_total{kind="created"} 1.0' in told
            assert 'relay_refused_total{code="550"} 1.0' in told
            assert 'relay_refused_total{code="554"} 1.0' in told
            assert "relay_delivery_delay_seconds_count 1.0" in told
            assert "relay_store_trouble 0.0" in told
            assert "relay_store_up 1.0" in told
            assert 'relay_smtp_accepted_total{listener="submission"} 1.0' in told
            assert f'relay_smtp_bytes_total{{listener="submission"}} {len(MAIL)}.0' in told
            assert 'relay_deliveries_total{category="",provider=' in told
            assert "relay_disk_free_bytes" in told
            for ready in (port, relay.tracker_port):
                async with client.get(f"http://127.0.0.1:{ready}/readyz") as answer:
                    assert (answer.status, (await answer.json())["checks"]) == (200, {"store": True, "listeners": True})
            async with client.get(f"http://127.0.0.1:{relay.tracker_port}/healthz") as answer:
                assert (answer.status, (await answer.json())["checks"]) == (200, {"store": True, "tracking": True})
        assert [line["reply"][:3] for line in relay.log("smtp.refused")] == ["550", "554"]
        (state,) = await relay.json("status")
        assert state["healthy"] is True
