"""Alerts are queued at most once per cause and hour, also over restarts, and wait while the store fails."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from io import StringIO
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from relay.app import alert_mailer
from relay.app.alert_mailer import AlertMailer, AlertQueue
from relay.app.alerts import Alert
from relay.app.observer import Observer
from relay.config.settings import Settings
from relay.events.event import Event
from relay.events.ports import StoreError
from relay.log import Log
from relay.queue.message import NewMessage
from relay.queue.ports import EntryQuery
from relay.storage.sqlite.store import SqliteStore
from tests.servers.waiting import PATIENCE

NOW = 1_800_000_000.0

WITH_RECIPIENT = {"alerts": {"mail_to": ["op@acme.test"]}}


class Harness:
    """The alert mailer over a real store that fails for the next `failures` messages."""

    def __init__(self, store: SqliteStore, settings: Settings) -> None:
        self.now = NOW
        self.store = store
        self.failures = 0
        self.published: list[Event] = []
        self.woken = 0
        serial = count()
        self.alerts = AlertQueue(lambda: settings, lambda: self.now)
        self.mailer = AlertMailer(
            self.alerts,
            settings=lambda: settings,
            store=self,  # type: ignore[arg-type]  # enqueue is all it needs
            stories=store.reports,
            clock=lambda: self.now,
            new_id=lambda now: f"{int(now - NOW):010}A{next(serial):03}",
            publish=self.published.extend,
            wake=self.wake,
        )

    def wake(self) -> None:
        self.woken += 1

    async def enqueue(self, accepted: NewMessage) -> None:
        if self.failures > 0:
            self.failures -= 1
            raise StoreError("disk I/O error")
        await self.store.queue.enqueue(accepted)

    async def queued(self, expected: int) -> list[str]:
        """Wait until the queue has this number of messages and no more after a while; return their subjects."""
        async with asyncio.timeout(PATIENCE):
            while len(found := await self.store.queue.entries(EntryQuery())) < expected:
                await asyncio.sleep(0.005)
        await asyncio.sleep(0.02)
        return [message.subject for message, _ in found]


@asynccontextmanager
async def running(folder: Path, **sections: Any) -> AsyncIterator[Harness]:
    settings = Settings.model_validate({"server": {"hostname": "relay.test"}, **sections})
    store = await SqliteStore.open(folder / "relay.db", now=NOW)
    harness = Harness(store, settings)
    task = asyncio.create_task(harness.mailer.run())
    try:
        yield harness
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await store.close()


async def test_one_alert_per_cause_and_hour(tmp_path: Path) -> None:
    async with running(tmp_path, **WITH_RECIPIENT) as harness:
        for _ in range(3):
            harness.alerts.alert("links", "links are dead", "look")
        harness.alerts.alert("dns", "records changed", "look")
        assert await harness.queued(2) == ["[relay relay.test] links are dead", "[relay relay.test] records changed"]
        harness.now += 3599
        harness.alerts.alert("links", "links are dead", "look")
        assert len(await harness.queued(2)) == 2
        harness.now += 2
        harness.alerts.alert("links", "links are still dead", "look")
        assert (await harness.queued(3))[-1] == "[relay relay.test] links are still dead"
        assert harness.woken == len(harness.published) == 3


async def test_a_restart_does_not_repeat_an_alert(tmp_path: Path) -> None:
    async with running(tmp_path, **WITH_RECIPIENT) as harness:
        harness.alerts.alert("links", "links are dead", "look")
        await harness.queued(1)
    async with running(tmp_path, **WITH_RECIPIENT) as harness:
        harness.now += 60
        harness.alerts.alert("links", "links are dead", "look")
        harness.alerts.alert("dns", "records changed", "look")
        assert len(await harness.queued(2)) == 2


async def test_an_alert_waits_while_the_store_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alert_mailer, "STORE_RETRY", 0.01)
    async with running(tmp_path, **WITH_RECIPIENT) as harness:
        harness.failures = 3
        harness.alerts.alert("store", "the store was away", "look")
        assert await harness.queued(1) == ["[relay relay.test] the store was away"]


async def test_without_recipients_no_alert_is_sent(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        harness.alerts.alert("links", "links are dead", "look")
        assert await harness.queued(0) == []


async def test_alerts_use_the_configured_address_and_its_providers(tmp_path: Path) -> None:
    sections = {
        "alerts": {"mail_to": ["op@acme.test"], "from": "relay@acme.test"},
        "provider": [{"name": "p", "host": "p.test"}],
        "domains": {"acme.test": {"provider": "p"}},
    }
    async with running(tmp_path, **sections) as harness:
        harness.alerts.alert("links", "links are dead", "look")
        await harness.queued(1)
        ((message, entry),) = await harness.store.queue.entries(EntryQuery())
        assert message.header_from == "relay@acme.test"
        assert (message.policy.domain, entry.lane) == ("acme.test", "provider:p")
        assert message.policy.fallback_providers == ("direct",)


def test_the_observer_alerts_about_paused_lanes_and_a_recovered_store() -> None:
    alerts: list[Alert] = []
    times = iter((NOW, NOW + 90))
    observer = Observer(Log(StringIO(), "json"), lambda: next(times), alerts.append)
    observer.alert("provider:p", "credentials", "535 no", "Check it.")
    observer.store_trouble(StoreError("disk I/O error"))
    observer.store_trouble(StoreError("disk I/O error"))
    assert [one.cause for one in alerts] == ["paused provider:p"]
    observer.store_recovered()
    observer.store_recovered()
    assert [one.cause for one in alerts] == ["paused provider:p", "store"]
    assert "did not answer for 90 seconds: disk I/O error" in alerts[1].subject
