"""A relay whose public name fails: no dead links go out, and what never worked is not taken for broken."""

import asyncio
import re
from pathlib import Path

import aiohttp
import pytest

from relay.app.alerts import Alert
from relay.app.context import AppContext
from relay.resolver import Resolver
from tests.integration.mail_helpers import HTML, send, timeline
from tests.ports import free_port
from tests.servers.dns_server import DnsServer
from tests.servers.relay_app import running
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink
from tests.servers.waiting import until

PLAIN = b"https://shop.acme.test/?a=1&amp;b=2"


class Proxy:
    """A proxy in front of the tracker that can be switched off and on."""

    def __init__(self, behind: int) -> None:
        self.port = free_port()
        self._behind = behind
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", self.port)

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, there = await asyncio.open_connection("127.0.0.1", self._behind)

        async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                target.write(data)
            target.close()

        await asyncio.gather(copy(reader, there), copy(back, writer))


async def sent(relay: RelayProcess, sink: Sink, number: int) -> tuple[str, bytes]:
    """Send the mail; return its queue id and what arrived as the sink's mail of that number."""
    queue_id = await asyncio.to_thread(send, relay.port, HTML, ["u@rcpt.test"])
    return queue_id, (await sink.received(number))[-1].content


async def test_mail_is_unrewritten_while_a_base_url_is_down(tmp_path: Path) -> None:
    async with Sink() as sink:
        relay = RelayProcess(tmp_path, sink.port, "")
        proxy = Proxy(relay.tracker_port)
        relay.config.write_text(
            relay.config.read_text() + f'[domains."acme.test".tracking]\nbase_url = "http://127.0.0.1:{proxy.port}"\n'
        )
        await proxy.open()
        async with running(relay) as up:
            assert not up.lines("tracking.unproven")
            _, tracked = await sent(relay, sink, 1)
            assert f"http://127.0.0.1:{proxy.port}/c/".encode() in tracked
            await proxy.close()
            alerts: list[Alert] = []
            up.app.alerts.send = alerts.append  # type: ignore[assignment]
            await up.app.outbound.monitor.check()
            _, patient = await sent(relay, sink, 2)
            assert PLAIN not in patient
            await up.app.outbound.monitor.check()
            queue_id, plain = await sent(relay, sink, 3)
            assert PLAIN in plain
            assert f":{proxy.port}/o/".encode() not in plain
            (down,) = up.lines("tracking.down")
            await timeline(relay, queue_id, "delivered")
            (story,) = await relay.json("trace", queue_id)
            told = next(event for event in story["events"] if event["event"] == "delivered")
            assert told["skipped"] == [f"tracking: http://127.0.0.1:{proxy.port} {down['why']}"]
            assert "does not answer" in down["why"]
            assert [alert.cause for alert in alerts] == [f"tracking http://127.0.0.1:{proxy.port}"]
            assert "guard = false" in alerts[0].text
            assert (
                f'up{{base_url="http://127.0.0.1:{proxy.port}"}} 0.0' in up.app.observer.metrics.exposition().decode()
            )
            assert up.app.checks() == {"store": True, "tracking": False}
            async with (
                aiohttp.ClientSession() as reader,
                reader.get(f"http://127.0.0.1:{relay.tracker_port}/healthz") as answer,
            ):
                assert (answer.status, (await answer.json())["status"]) == (200, "degraded")
            await proxy.open()
            await up.app.outbound.monitor.check()
            _, again = await sent(relay, sink, 4)
            assert PLAIN not in again
            assert len(up.lines("tracking.up")) == 1
            await proxy.close()
        assert not up.lines("message.click") + up.lines("message.open") + up.lines("events.spooled")
        async with running(relay) as up:
            await up.app.outbound.monitor.check()
            _, remembered = await sent(relay, sink, 5)
            assert PLAIN in remembered


async def test_a_base_url_that_never_worked_is_a_warning_and_mail_is_rewritten(tmp_path: Path) -> None:
    async with Sink() as sink:
        domain = f'[domains."acme.test".tracking]\nbase_url = "http://127.0.0.1:{free_port()}"'
        relay = RelayProcess(tmp_path, sink.port, f"{domain}")
        async with running(relay) as up:
            for _ in range(3):
                await up.app.outbound.monitor.check()
            _, content = await sent(relay, sink, 1)
            assert re.search(rb"http://127\.0\.0\.1:\d+/c/", content)
            assert up.app.checks()["tracking"]
            assert len(up.lines("tracking.unproven")) == 1
            assert not up.lines("tracking.down")


async def test_the_tracker_of_another_relay_fails_the_check(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    async with Sink() as sink:
        other = RelayProcess(tmp_path / "other", sink.port, "")
        domain = f'[domains."acme.test".tracking]\nbase_url = "http://127.0.0.1:{other.tracker_port}"'
        relay = RelayProcess(tmp_path, sink.port, f"{domain}")
        async with running(other), running(relay) as up:
            (line,) = up.lines("tracking.unproven")
            assert line["why"] == "answers a link with 404, not with 302 as this tracker does"


async def test_monitor_and_domain_checks_use_the_resolver_of_the_relay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Sink() as sink, DnsServer("t.acme.test. A 127.0.0.1") as dns:
        monkeypatch.setattr(AppContext, "new_resolver", lambda _: Resolver([dns.endpoint]))
        relay = RelayProcess(tmp_path, sink.port, "")
        base_url = f"http://t.acme.test:{relay.tracker_port}"
        relay.config.write_text(relay.config.read_text() + f'[domains."acme.test".tracking]\nbase_url = "{base_url}"\n')
        async with running(relay) as up:
            await up.app.outbound.monitor.check()
            assert not up.lines("tracking.unproven")
            assert up.app.outbound.monitor.checks() == {"tracking": True}
            # The background watch may hold the lease of the domain already: then `round` has nothing to check.
            await up.app.outbound.signing.watch.round()
            await until(lambda: ("_dmarc.acme.test.", "TXT") in dns.questions)
        assert ("t.acme.test.", "A") in dns.questions


async def test_the_monitor_can_be_turned_off(tmp_path: Path) -> None:
    async with Sink() as sink:
        domain = f'[domains."acme.test".tracking]\nbase_url = "http://127.0.0.1:{free_port()}"'
        more = f"{domain}"
        relay = RelayProcess(tmp_path, sink.port, more)
        text = relay.config.read_text().replace("[queue]", "guard = false\n[queue]")
        relay.config.write_text(text)
        async with running(relay) as up:
            assert not up.lines("tracking.unproven")
