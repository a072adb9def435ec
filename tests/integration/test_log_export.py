"""Lines of the log at a collector of OpenTelemetry: posted, kept while it is away, and dropped beyond a number."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from relay.app import log_export
from relay.app.log_export import LogExporter
from tests.ports import free_port
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink
from tests.servers.waiting import until


@dataclass
class Collector:
    """Takes records by HTTP; `statuses` are those of the next answers."""

    port: int = field(default_factory=free_port)
    records: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    requests: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1/logs"

    async def take(self, request: web.Request) -> web.Response:
        self.requests += 1
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 200:
            self.headers.append(dict(request.headers))
            for resource in (await request.json())["resourceLogs"]:
                self.records += [one for scope in resource["scopeLogs"] for one in scope["logRecords"]]
        return web.json_response({}, status=status)

    @property
    def names(self) -> list[str]:
        return [one["eventName"] for one in self.records]

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Collector"]:
        app = web.Application(client_max_size=1 << 24)
        app.router.add_post("/v1/logs", self.take)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        try:
            yield self
        finally:
            await runner.cleanup()


async def test_the_lines_of_a_relay_are_posted_with_the_fields_of_the_configuration(tmp_path: Path) -> None:
    collector = Collector()
    toml = f"""
[log]
otlp_url = "{collector.url}"
otlp_headers = {{ Authorization = "Bearer secret" }}
"""
    async with collector.running(), Sink() as sink, RelayProcess(tmp_path, sink.port, toml) as relay:
        await relay.run("suppression", "add", "a@b.test")
        await until(lambda: "server.started" in collector.names)
        assert collector.headers[0]["Authorization"] == "Bearer secret"
        assert collector.headers[0]["Content-Type"] == "application/json"
        assert "Bearer secret" not in await relay.run("config", "show")
    written = [json.loads(line)["event"] for line in relay.log_file.read_text().splitlines()]
    assert set(collector.names) <= set(written)


@asynccontextmanager
async def exporting(collector: Collector, lines: list[str]) -> AsyncIterator[LogExporter]:
    def emit(line: str, **fields: object) -> None:
        lines.append(f"{line} {fields['lines']}" if fields.get("lines") else line)

    exporter = LogExporter(collector.url, {}, "relay.test", emit)
    task = asyncio.create_task(exporter.run())
    try:
        yield exporter
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_lines_wait_while_the_collector_is_away_and_come_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_export, "INTERVAL", 0.01)
    monkeypatch.setattr(log_export, "MAX_WAIT", 0.05)
    monkeypatch.setattr(log_export, "BATCH", 2)
    collector, lines = Collector(), list[str]()
    async with exporting(collector, lines) as exporter:
        exporter.add([("message.created", {"queue_id": str(number)}) for number in range(5)])
        await until(lambda: lines == ["log.export_failing"])
        collector.statuses = [503, 429, 200]
        async with collector.running():
            await until(lambda: len(collector.records) == 5)
            await until(lambda: lines == ["log.export_failing", "log.export_recovered"])
            found = [one["attributes"][0]["value"]["stringValue"] for one in collector.records]
            assert found == ["0", "1", "2", "3", "4"]


async def test_what_the_collector_refuses_for_good_is_not_posted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_export, "INTERVAL", 0.01)
    collector, lines = Collector(statuses=[400]), list[str]()
    async with collector.running(), exporting(collector, lines) as exporter:
        exporter.add([("message.created", {})])
        await until(lambda: collector.requests == 1)
        exporter.add([("message.delivered", {})])
        await until(lambda: collector.names == ["message.delivered"])
    assert lines == ["log.export_failing", "log.export_recovered 1"]


async def test_the_oldest_lines_are_dropped_beyond_a_number_and_the_end_posts_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log_export, "MAX_WAITING", 3)
    monkeypatch.setattr(log_export, "INTERVAL", 3600.0)
    collector = Collector()
    async with collector.running():
        async with exporting(collector, []) as exporter:
            exporter.add([("message.created", {"number": number}) for number in range(10)])
            await asyncio.sleep(0)
        values = [one["attributes"][0]["value"]["intValue"] for one in collector.records]
    assert values == ["7", "8", "9"]
