"""Alerts reach the queue once an hour for each cause, over restarts too, and wait for a store that is away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from io import StringIO
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from relay.app import alerts as alerts_module
from relay.app.alerts import Alert, AlertMailer
from relay.app.observer import Observer
from relay.config.settings import Settings
from relay.events.event import Event
from relay.log import Log
from relay.queue.message import NewMessage
from relay.queue.ports import EntryQuery, StoreError
from relay.storage.sqlite.store import SqliteStore
from tests.servers.waiting import PATIENCE

NOW = 1_800_000_000.0


TOLD = {"alerts": {"mail_to": ["op@acme.test"]}}


class Harness:
    """Alerts over a real store, which is away for the next `away` messages."""

    def __init__(self, store: SqliteStore, settings: Settings) -> None:
        self.now = NOW
        self.store = store
        self.away = 0
        self.published: list[Event] = []
        self.woken = 0
        serial = count()
        self.alerts = AlertMailer(
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
        if self.away > 0:
            self.away -= 1
            raise StoreError("disk I/O error")
        await self.store.queue.enqueue(accepted)

    async def queued(self, expected: int) -> list[str]:
        """Return the subjects in the queue once there are so many, and no more after a while."""
        async with asyncio.timeout(PATIENCE):
            while len(found := await self.store.queue.entries(EntryQuery())) < expected:
                await asyncio.sleep(0.005)
        await asyncio.sleep(0.02)
        return [message.subject for message, _ in found]


@asynccontextmanager
async def running(folder: Path, **sections: Any) -> AsyncIterator[Harness]:
    settings = Settings.model_validate({"server": {"hostname": "relay.test"}, **sections})
    store = await SqliteStore.open(folder / "relay.db", now=NOW)
    house = Harness(store, settings)
    task = asyncio.create_task(house.alerts.run())
    try:
        yield house
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await store.close()


async def test_a_cause_is_told_once_an_hour(tmp_path: Path) -> None:
    async with running(tmp_path, **TOLD) as house:
        for _ in range(3):
            house.alerts.alert("links", "links are dead", "look")
        house.alerts.alert("dns", "records changed", "look")
        assert await house.queued(2) == ["[relay relay.test] links are dead", "[relay relay.test] records changed"]
        house.now += 3599
        house.alerts.alert("links", "links are dead", "look")
        assert len(await house.queued(2)) == 2
        house.now += 2
        house.alerts.alert("links", "links are still dead", "look")
        assert (await house.queued(3))[-1] == "[relay relay.test] links are still dead"
        assert house.woken == len(house.published) == 3


async def test_a_restart_does_not_tell_again(tmp_path: Path) -> None:
    async with running(tmp_path, **TOLD) as house:
        house.alerts.alert("links", "links are dead", "look")
        await house.queued(1)
    async with running(tmp_path, **TOLD) as house:
        house.now += 60
        house.alerts.alert("links", "links are dead", "look")
        house.alerts.alert("dns", "records changed", "look")
        assert len(await house.queued(2)) == 2


async def test_a_store_that_is_away_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts_module, "STORE_RETRY", 0.01)
    async with running(tmp_path, **TOLD) as house:
        house.away = 3
        house.alerts.alert("store", "the store was away", "look")
        assert await house.queued(1) == ["[relay relay.test] the store was away"]


async def test_without_addresses_nobody_is_told(tmp_path: Path) -> None:
    async with running(tmp_path) as house:
        house.alerts.alert("links", "links are dead", "look")
        assert await house.queued(0) == []


async def test_alerts_come_from_the_configured_address_and_take_its_ways(tmp_path: Path) -> None:
    sections = {
        "alerts": {"mail_to": ["op@acme.test"], "from": "relay@acme.test"},
        "provider": [{"name": "p", "host": "p.test"}],
        "domains": {"acme.test": {"provider": "p"}},
    }
    async with running(tmp_path, **sections) as house:
        house.alerts.alert("links", "links are dead", "look")
        await house.queued(1)
        ((message, entry),) = await house.store.queue.entries(EntryQuery())
        assert message.header_from == "relay@acme.test"
        assert (message.policy.domain, entry.lane) == ("acme.test", "provider:p")
        assert message.policy.fallback_providers == ("direct",)


def test_the_observer_tells_of_paused_lanes_and_of_a_store_that_was_away_once_it_is_back() -> None:
    told: list[Alert] = []
    times = iter((NOW, NOW + 90))
    observer = Observer(Log(StringIO(), "json"), lambda: next(times))
    observer.alert("mx:early.test", "blocked", "554 no", "Delist.")
    observer.send_alert = told.append
    observer.alert("provider:p", "credentials", "535 no", "Check it.")
    observer.store_trouble(StoreError("disk I/O error"))
    observer.store_trouble(StoreError("disk I/O error"))
    assert [one.cause for one in told] == ["paused provider:p"]
    observer.store_recovered()
    observer.store_recovered()
    assert [one.cause for one in told] == ["paused provider:p", "store"]
    assert "away for 90 seconds: disk I/O error" in told[1].subject
