"""Collects what decides when entries leave, for `relay why`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from relay.clock import Clock
from relay.config.sites import SiteProfile
from relay.delivery.next_hop import NextHopResolver, parse_lane
from relay.mail.reply import Reply
from relay.queue.entry import Entry
from relay.queue.lanes import LaneTable
from relay.queue.message import Message
from relay.queue.nodes import NodeShare
from relay.queue.outcome import Deferred, Refused
from relay.queue.ports import QueueAdminStore
from relay.queue.shared_pauses import SharedPauses
from relay.queue.site import Site
from relay.queue.site_rates import SiteRates
from relay.queue.site_traffic import SiteTraffic
from relay.queue.wait_reasons import Reason, Servers, WaitContext, reasons
from relay.reports.sites import SiteReport, site_reports


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitExplainer:
    """Explains entries, and reports sites."""

    lanes: LaneTable
    pauses: SharedPauses
    rates: SiteRates
    entries: QueueAdminStore
    share: Callable[[], NodeShare]
    profiles: Callable[[], Sequence[SiteProfile]]
    store_fault: Callable[[], str]
    next_hops: Callable[[], NextHopResolver]
    clock: Clock

    def explain(self, message: Message, entry: Entry) -> Sequence[Reason]:
        """Return what decides when an entry leaves, the strongest first."""
        site = self.rates.site_of(entry.lane)
        lane = self.lanes.lanes.get(entry.lane)
        now = self.clock()
        found = WaitContext(
            now=now,
            pause=self.pauses.hold_of(message, entry),
            lane_pause=self.lanes.pause(entry.lane, now),
            in_flight=lane.in_flight if lane else 0,
            concurrency=lane.concurrency if lane else 0,
            site=site,
            traffic=self._slowest(site, now),
            site_in_flight=self._in_flight(site),
            store_fault=self.store_fault(),
            takes_part=self.share().nodes > 0,
        )
        return list(reasons(message, entry, found))

    def site_name(self, lane: str) -> str:
        """Return the name of the site of a lane, "" if it is not known."""
        site = self.rates.site_of(lane)
        return site.name if site else ""

    async def servers(self, lane: str) -> Servers:
        """Return the servers of a lane, as DNS has them now."""
        target = parse_lane(lane)
        if isinstance(target, Reply):
            return Servers(lane, problem=str(target))
        endpoints = await self.next_hops().endpoints(target)
        if isinstance(endpoints, Deferred | Refused):
            return Servers(lane, problem=str(endpoints.reply))
        return Servers(lane, tuple(map(str, endpoints)))

    async def sites(self) -> Sequence[SiteReport]:
        """Return all sites, the busiest first. Raises StoreError."""
        return site_reports(
            self.rates.sites(),
            self.rates.rates(),
            self.rates.lanes(),
            self.pauses.holds(),
            await self.entries.depth(),
            await self.entries.oldest(),
            self.profiles(),
        )

    def _slowest(self, site: Site | None, now: float) -> SiteTraffic | None:
        """Return the traffic of the site or of its address, whichever lets the next message wait longer."""
        keys = site.keys if site else ()
        known = [traffic for key in keys if (traffic := self.rates.traffic(key)) is not None and traffic.is_limited]
        return max(known, key=lambda traffic: traffic.free_at(now), default=None)

    def _in_flight(self, site: Site | None) -> int:
        if site is None:
            return 0
        lanes = self.lanes.lanes
        return sum(lanes[name].in_flight for name in self.rates.lanes_of(site.name) if name in lanes)
