"""The sites as operators see them: connections, rate, state, waiting entries. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from relay.config.sites import SiteProfile
from relay.metrics import SiteFigures
from relay.queue.entry import State
from relay.queue.pause import Pause
from relay.queue.site import Site, is_address
from relay.queue.site_traffic import SiteTraffic
from relay.reports.serialize import JsonObject, time_json


@dataclass(frozen=True, slots=True)
class SiteReport:
    """What is known about one site."""

    name: str
    connections: int
    """0 for the default."""
    profile: bool
    traffic: SiteTraffic | None
    pause: Pause | None
    waiting: int
    lanes: Sequence[str]

    @property
    def state(self) -> str:
        """One of paused, probing, limited and ok."""
        if self.pause is not None:
            return "paused"
        rate = self.traffic.rate if self.traffic else None
        if rate is not None and rate.is_probing:
            return "probing"
        return "limited" if self.traffic is not None and self.traffic.is_limited else "ok"

    @property
    def measured(self) -> SiteFigures:
        """The figures for the metrics."""
        limited = self.traffic is not None and self.traffic.is_limited
        rate = self.traffic.messages_per_minute if self.traffic is not None and limited else None
        most = self.traffic.most_connections if self.traffic is not None else self.connections
        return SiteFigures(self.name, rate, min(self.connections or most, most), self.waiting)

    def as_json(self) -> JsonObject:
        """Return the site as JSON. Rates are messages a minute, null without a limit."""
        rate = self.traffic.rate if self.traffic else None
        return {
            "site": self.name,
            "profile": self.profile,
            "state": self.state,
            "connections": self.connections,
            "connections_found": rate.connections if rate else None,
            "rate": round(self.traffic.messages_per_minute, 1) if self.traffic and self.traffic.is_limited else None,
            "rate_found": round(rate.found, 1) if rate else None,
            "rate_bound": self.traffic.bound or None if self.traffic else None,
            "cut_at": time_json(rate.cut_at) if rate else None,
            "not_before": time_json(rate.not_before) if rate else None,
            "paused_until": time_json(self.pause.until) if self.pause else None,
            "why": self.pause.why if self.pause else rate.why if rate else "",
            "waiting": self.waiting,
            "lanes": list(self.lanes),
        }


def site_reports(
    sites: Sequence[Site],
    traffic: Mapping[str, SiteTraffic],
    lanes: Mapping[str, Site],
    pauses: Sequence[Pause],
    depth: Mapping[tuple[str, State], int],
    profiles: Sequence[SiteProfile],
) -> Sequence[SiteReport]:
    """Return the sites in use, those with a rate or pause, and all profiles; the busiest first."""
    waiting = Counter[str]()
    for (lane, state), count in depth.items():
        if state is State.WAITING and (site := lanes.get(lane)) is not None:
            waiting[site.name] += count
    paused = {one.subject.removeprefix("site:"): one for one in pauses if one.subject.startswith("site:")}
    caps = {site.name: site.connections for site in sites}
    shipped = {profile.name: profile.connections for profile in profiles}
    names = {*caps, *paused, *shipped, *(key for key in traffic if not is_address(key))}
    found = [
        SiteReport(
            name,
            caps.get(name) or shipped.get(name, 0),
            name in shipped,
            traffic.get(name),
            paused.get(name),
            waiting[name],
            sorted(lane for lane, site in lanes.items() if site.name == name),
        )
        for name in names
    ]
    return sorted(found, key=lambda one: (-one.waiting, one.state == "ok", not one.lanes, one.name))


def is_in_use(report: SiteReport) -> bool:
    """Whether the site has lanes, a rate, a pause or waiting entries; else it is a profile only."""
    return bool(report.lanes or report.waiting) or report.state != "ok"
