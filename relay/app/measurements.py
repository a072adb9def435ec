"""Measures queue, sites, domains, store and disk for the metrics."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from pathlib import Path

from relay.clock import Clock
from relay.config.settings import Settings
from relay.disk_space import space_of
from relay.domains.status import DomainStatus
from relay.limits.ports import LimitStore
from relay.limits.utilization import used_ratios
from relay.limits.window import Window, windows
from relay.mail.queue_id import is_queue_id, time_of
from relay.metrics import Metrics, QueueFigures
from relay.metrics.domain_figures import DomainFigures
from relay.metrics.queue_figures import LaneDepth, queue_figures
from relay.queue.ports import QueueAdminStore
from relay.reports.sites import SiteReport, is_in_use


class Measurements:
    """Sets the gauges that no event changes."""

    def __init__(
        self,
        settings: Callable[[], Settings],
        queue: QueueAdminStore,
        limits: LimitStore,
        metrics: Metrics,
        clock: Clock,
        *,
        sites: Callable[[], Awaitable[Sequence[SiteReport]]],
        paused: Callable[[], Collection[str]],
        domains: Callable[[], Sequence[DomainStatus]],
    ) -> None:
        """`paused` returns the paused lanes, `domains` the status of the configured domains."""
        self._settings = settings
        self._queue = queue
        self._limits = limits
        self._metrics = metrics
        self._clock = clock
        self._sites = sites
        self._paused = paused
        self._domains = domains

    async def of_this_node(self) -> None:
        """Measure what each node has of its own: disk and database file."""
        settings = self._settings()
        free, size = await asyncio.to_thread(_space, settings.server.data_dir, settings.sqlite_path)
        if free is not None:
            self._metrics.disk_free_bytes.set(free)
        self._metrics.store_bytes.set(size)

    async def of_all_nodes(self) -> None:
        """Measure what the nodes have in common. Raises StoreError."""
        now = self._clock()
        depth = [
            LaneDepth(one.lane, one.state.value, one.due, one.count, one.first_attempt_at)
            for one in await self._queue.depth_by_time(now)
        ]
        oldest = await self._queue.oldest()
        arrivals = {lane: time_of(first) for lane, first in oldest.items() if is_queue_id(first)}
        self._metrics.set_queue(queue_figures(depth, arrivals, self._paused(), await self._queue.damaged(), now))
        self._metrics.set_sites([one.measured(now) for one in await self._sites() if is_in_use(one)])
        self._metrics.set_domains([_domain_figures(one) for one in self._domains()])
        windows = limit_windows(self._settings())
        self._metrics.set_limits(used_ratios(windows, await self._limits.usage(windows, now)))

    def clear(self) -> None:
        """Remove what the nodes have in common: another node reports it."""
        self._metrics.set_queue(QueueFigures())
        self._metrics.set_sites(())
        self._metrics.set_domains(())
        self._metrics.set_limits({})


def limit_windows(settings: Settings) -> Mapping[str, tuple[Window, ...]]:
    """Return the windows of all identities and providers with a limit, by ledger key."""
    senders = [(f"identity:{address}", one) for address, one in settings.senders.identities.items()]
    found = [(key, windows(one.hourly_limit, one.daily_limit)) for key, one in senders]
    found += [(f"provider:{one.name}", windows(one.hourly_limit, one.daily_limit)) for one in settings.providers]
    return {key: those for key, those in found if those}


def _domain_figures(domain: DomainStatus) -> DomainFigures:
    keys = [(key.selector, bool(key.shown_since)) for key in domain.keys if key.signing]
    return DomainFigures(domain.domain, domain.health, keys)


def _space(data_dir: Path, database: Path | None) -> tuple[int | None, int]:
    """Return the octets free for data (None if they cannot be measured), and those of the SQLite files."""
    try:
        _, free = space_of(data_dir / "relay.db")
    except OSError:
        return None, 0
    files = [database, database.with_name(f"{database.name}-wal")] if database else []
    return free, sum(file.stat().st_size for file in files if file.exists())
