"""Sites: the servers that several domains share. Connections are limited by site (RFC 5321 section 4.5.4.1)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from relay.delivery.mx import Endpoint
from relay.delivery.server_memory import ExpiringDict

SITE_FOR = 300.0
"""Seconds during which the site of a lane is used without a new look at DNS."""

PROVEN_FOR = 3600.0
"""Seconds during which a site counts as working after an accepted message."""


@dataclass(frozen=True, slots=True)
class Site:
    """The servers of a lane."""

    name: str
    """The host names in alphabetical order, or the lane for a provider."""
    address: str = ""
    """The address that is asked first, "" for a provider."""


class SiteTable:
    """Sites by lane and by address. `clock` is monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._by_lane: ExpiringDict[Site] = ExpiringDict(SITE_FOR, clock)
        self._by_address: ExpiringDict[str] = ExpiringDict(SITE_FOR, clock)
        self._proven: ExpiringDict[bool] = ExpiringDict(PROVEN_FOR, clock)

    def of(self, lane: str) -> Site | None:
        """Return the site of a lane, None if it is not known or too old."""
        return self._by_lane.get(lane)

    def add(self, lane: str, endpoints: Sequence[Endpoint]) -> Site:
        """Set and return the site of a lane.

        Host sets with other names are one site if all their addresses belong to it: hosting companies give each
        customer a name. One foreign address makes it another site, so that a site of others cannot be occupied.
        """
        name = ",".join(sorted({endpoint.name or str(endpoint.address) for endpoint in endpoints}))
        known = {self._by_address.get(str(endpoint.address)) for endpoint in endpoints}
        if len(known) == 1 and (only := known.pop()) is not None:
            name = only
        for endpoint in endpoints:
            if self._by_address.get(str(endpoint.address)) in (None, name):
                self._by_address.set(str(endpoint.address), name)

        site = Site(name, str(endpoints[0].address))
        self._by_lane.set(lane, site)
        return site

    def accepted(self, site: Site) -> None:
        """Note that a server of the site accepted a message."""
        self._proven.set(site.name, True)

    def is_proven(self, site: Site) -> bool:
        """Whether a server of the site accepted a message lately."""
        return site.name in self._proven
