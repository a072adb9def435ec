"""The sites as operators see them: connections, rate, state, waiting entries. Pure."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from relay.config.sites import SiteProfile
from relay.mail.queue_id import is_queue_id, time_of
from relay.metrics import SiteFigures
from relay.queue.entry import State
from relay.queue.pause import Pause
from relay.queue.site import Site, is_address
from relay.queue.site_rate import RateChange
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
    oldest_at: float | None
    """Unix seconds: arrival of the oldest message that waits, None without one."""

    @property
    def state(self) -> str:
        """One of paused, probing, limited and ok."""
        if self.pause is not None:
            return "paused"
        rate = self.traffic.rate if self.traffic else None
        if rate is not None and rate.is_probing:
            return "probing"
        return "limited" if self.traffic is not None and self.traffic.is_limited else "ok"

    def measured(self, now: float) -> SiteFigures:
        """Return the figures for the metrics."""
        limited = self.traffic is not None and self.traffic.is_limited
        rate = self.traffic.messages_per_minute if self.traffic is not None and limited else None
        most = self.traffic.most_connections if self.traffic is not None else self.connections
        oldest = None if self.oldest_at is None else max(0.0, now - self.oldest_at)
        return SiteFigures(self.name, rate, min(self.connections or most, most), self.waiting, oldest)

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
            "oldest_at": None if self.oldest_at is None else time_json(self.oldest_at),
            "changes": [_change_json(one) for one in (self.traffic.history if self.traffic else ())],
            "lanes": list(self.lanes),
        }


def site_reports(
    sites: Sequence[Site],
    traffic: Mapping[str, SiteTraffic],
    lanes: Mapping[str, Site],
    pauses: Sequence[Pause],
    depth: Mapping[tuple[str, State], int],
    oldest: Mapping[str, str],
    profiles: Sequence[SiteProfile],
) -> Sequence[SiteReport]:
    """Return the sites in use, those with a rate or pause, and all profiles; the busiest first.

    `oldest` has the queue id of the oldest waiting message of each lane.
    """
    waiting = Counter[str]()
    for (lane, state), count in depth.items():
        if state is State.WAITING and (site := lanes.get(lane)) is not None:
            waiting[site.name] += count
    times: defaultdict[str, list[float]] = defaultdict(list)
    for lane, queue_id in oldest.items():
        if (site := lanes.get(lane)) is not None and is_queue_id(queue_id):
            times[site.name].append(time_of(queue_id))
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
            min(times[name], default=None),
        )
        for name in names
    ]
    return sorted(found, key=lambda one: (-one.waiting, one.state == "ok", not one.lanes, one.name))


def _change_json(change: RateChange) -> JsonObject:
    return {"at": time_json(change.at), "change": change.kind, "rate": round(change.rate, 1), "why": change.why}


def is_in_use(report: SiteReport) -> bool:
    """Whether the site has lanes, a rate, a pause or waiting entries; else it is a profile only."""
    return bool(report.lanes or report.waiting) or report.state != "ok"
