"""Finds the site of a lane by its MX hosts: a profile, else the hosts and addresses that domains share."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from relay.config.sites import SiteProfile, SiteProfiles
from relay.delivery.mx import Endpoint
from relay.delivery.server_history import ExpiringDict
from relay.queue.site import Site

SITE_FOR = 300.0
"""Seconds during which the site of a lane is used without a new DNS lookup, by jobs that open no connection."""

PROVEN_FOR = 3600.0
"""Seconds during which a site counts as working after an accepted message."""


class SiteTable:
    """Sites by lane and by address. `clock` is monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._by_lane: ExpiringDict[Site] = ExpiringDict(SITE_FOR, clock)
        self._by_address: ExpiringDict[Site] = ExpiringDict(SITE_FOR, clock)
        self._proven: ExpiringDict[bool] = ExpiringDict(PROVEN_FOR, clock)

    def of(self, lane: str) -> Site | None:
        """Return the site of a lane, None if it is not known or too old."""
        return self._by_lane.get(lane)

    def add(self, lane: str, endpoints: Sequence[Endpoint], profiles: SiteProfiles, own: int) -> Site:
        """Set and return the site of a lane.

        Hosts of one profile are its site. Host sets with other names are one site if all their addresses belong to it:
        hosting companies give each customer a name. One foreign host or address makes it another site, so that a site
        of others cannot be occupied. `own` are the connections of a site whose profile has no number.
        """
        site = self._find(endpoints, profiles)
        for endpoint in endpoints:
            before = self._by_address.get(str(endpoint.address))
            if before is None or before.name == site.name:
                self._by_address.set(str(endpoint.address), site)

        site = replace(site, address=str(endpoints[0].address), connections=site.connections or own)
        self._by_lane.set(lane, site)
        return site

    def _find(self, endpoints: Sequence[Endpoint], profiles: SiteProfiles) -> Site:
        profile = _common_profile(endpoints, profiles)
        if profile is not None and not profile.by_hosts:
            return _site(profile.name, profile)
        known = {self._by_address.get(str(endpoint.address)) for endpoint in endpoints}
        names = {site.name if site else "" for site in known}
        if len(names) == 1 and (same := known.pop()) is not None:
            return same
        return _site(",".join(sorted({endpoint.name or str(endpoint.address) for endpoint in endpoints})), profile)

    def accepted(self, site: Site) -> None:
        """Note that a server of the site accepted a message."""
        self._proven.set(site.name, True)

    def is_proven(self, site: Site) -> bool:
        """Whether a server of the site accepted a message lately."""
        return site.name in self._proven

    def forget(self) -> None:
        """Forget the sites of lanes and addresses, after a change of the profiles."""
        self._by_lane.clear()
        self._by_address.clear()


def _common_profile(endpoints: Sequence[Endpoint], profiles: SiteProfiles) -> SiteProfile | None:
    """Return the profile of all these hosts, None if one of them has another one or none."""
    found = [profiles.find(name) for name in {endpoint.name for endpoint in endpoints}]
    first = found[0]
    return first if all(one is first for one in found) else None


def _site(name: str, profile: SiteProfile | None) -> Site:
    if profile is None:
        return Site(name, connections=0)
    return Site(name, "", profile.connections, profile.messages_per_connection, profile.messages_per_minute)
