"""Maintenance of the store: it ends when it is cancelled, and says that the store recovered only when it has."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from relay.app.maintenance import Maintenance
from relay.app.measurements import Measurements
from relay.app.observer import Observer
from relay.config.settings import Settings
from relay.events.ports import StoreError
from relay.log import open_log
from relay.reports.sites import SiteReport
from relay.storage.sqlite.store import SqliteStore
from relay.storage.store import Store
from tests.servers.waiting import PATIENCE

NOW = 1_800_000_000.0


async def no_sites() -> list[SiteReport]:
    return []


def measurements(settings: Callable[[], Settings], store: Store, observer: Observer) -> Measurements:
    return Measurements(
        settings, store.queue, store.limits, observer.metrics, lambda: NOW, sites=no_sites, paused=tuple, domains=tuple
    )


async def test_a_cancellation_in_the_moment_in_which_the_store_fails_ends_it(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "relay.db", now=NOW)
    observer = Observer(open_log(tmp_path / "log", "json", "info"), lambda: NOW, lambda alert: None)
    rounds = asyncio.Queue[None]()
    recovered = observer.store_recovered

    def count_round() -> None:
        recovered()
        rounds.put_nowait(None)

    observer.store_recovered = count_round  # type: ignore[method-assign]
    running = asyncio.create_task(
        Maintenance(Settings, store, observer, lambda: NOW, measurements(Settings, store, observer)).run()
    )
    async with asyncio.timeout(PATIENCE):
        await rounds.get()
        await asyncio.sleep(0)
        observer.store_failing.set()
        await asyncio.sleep(0)
        running.cancel()
        await asyncio.wait({running})
    assert running.cancelled()
    await store.close()


async def test_mail_refused_during_a_round_leaves_the_store_failing_until_a_whole_round_succeeds(
    tmp_path: Path,
) -> None:
    """A check that passed before the refusal says nothing about the time after it."""
    store = await SqliteStore.open(tmp_path / "relay.db", now=NOW)
    observer = Observer(open_log(tmp_path / "log", "json", "info"), lambda: NOW, lambda alert: None)
    measured = measurements(Settings, store, observer)
    maintenance = Maintenance(Settings, store, observer, lambda: NOW, measured)
    of_this_node = measured.of_this_node

    async def and_refuse_mail() -> None:
        await of_this_node()
        observer.store_trouble(StoreError("too little space", full=True))

    measured.of_this_node = and_refuse_mail  # type: ignore[method-assign]
    await maintenance._run_once()
    assert observer.checks() == {"store": False}
    await maintenance._run_once()
    assert observer.checks() == {"store": False}

    measured.of_this_node = of_this_node  # type: ignore[method-assign]
    await maintenance._run_once()
    assert observer.checks() == {"store": True}
    await store.close()
