"""The rates of all sites in use: what a claim may take, whether a message may leave, what replies change.

A lane belongs to the group of its site and the address that is asked first. Both have a rate: operators count by site,
and hosting companies give one address many names. Times are Unix seconds.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from relay.queue import site_rate
from relay.queue.nodes import NodeShare
from relay.queue.site import NO_SITE_LIMITS, Site, SiteLimits, is_address
from relay.queue.site_rate import RateChange, SavedRate, SiteRate, kind_of_change
from relay.queue.site_traffic import Permit, SiteTraffic

IDLE = 600.0
"""Seconds without mail after which lanes and sites without a rate are forgotten."""

QUANTUM = 0.1
"""Seconds between two claims for a site that waits for its rate, at least."""

MIN_REFUSING = 3
"""Domains of a site that must refuse our mail until the site counts as blocking us."""


class SiteRates:
    """The sites in use. `share` returns the share of this node."""

    def __init__(self, share: Callable[[], NodeShare] = NodeShare) -> None:
        self._share = share
        self._sites: dict[str, Site] = {}
        self._traffic_of: dict[str, tuple[SiteTraffic, ...]] = {}
        """Traffic of site and address, by lane."""
        self._group_of: dict[str, str] = {}
        self._used_at: dict[str, float] = {}
        self._groups: dict[str, Site] = {}
        self._groups_of: dict[str, set[str]] = {}
        """Groups by key."""
        self._traffic: dict[str, SiteTraffic] = {}
        self._limited: set[str] = set()
        """Keys with a rate or a bound."""
        self._refusing: dict[str, set[str]] = {}
        """Lanes by site that refused our mail since the site accepted a message."""
        self._few = 0
        """Connections of the site that may have the fewest; 0 for none yet."""
        self._forgotten_at = 0.0
        self.changed: set[str] = set()
        """Keys whose rate the store does not have yet."""
        self.changes: list[RateChange] = []
        """Changes that are not reported yet."""

    def site_of(self, lane: str) -> Site | None:
        """Return the site of a lane, None if it is not known."""
        return self._sites.get(lane)

    def traffic(self, key: str) -> SiteTraffic | None:
        """Return the traffic of a site or of "address ADDRESS"; None if it is not in use."""
        return self._traffic.get(key)

    def connections(self, name: str, most: int) -> int:
        """Return the connections of a site, of `most` over all nodes, that this node may have by what was found."""
        mine, traffic = self._share().of(name, most), self._traffic.get(name)
        if traffic is None or not mine:
            return mine
        return max(1, min(mine, traffic.most_connections * mine // most))

    def claim_limits(self, now: float) -> SiteLimits:
        """Return what a claim may take of the sites with a rate, and of those that are left to other nodes."""
        free = {group: self._free(site, now) for group, site in self._limited_groups()}
        return SiteLimits(self._group_of, free) if free else NO_SITE_LIMITS

    def waiting_lanes(self, now: float) -> list[str]:
        """Return the lanes of which nothing may leave now."""
        shut = {group for group, site in self._limited_groups() if self._free(site, now) <= 0}
        return [lane for lane, group in self._group_of.items() if group in shut] if shut else []

    def is_limited(self, lane: str) -> bool:
        """Whether the site of a lane has a rate, or this node may have no connection to it."""
        site = self._sites.get(lane)
        return site is not None and (self._is_limited(site) or not self._part(site))

    def next_release(self, now: float) -> float | None:
        """Return when the next message of a site with a rate may leave, None without such a site."""
        at = [
            max(self._traffic[key].free_at(now) for key in self._limited_keys(site))
            for _, site in self._limited_groups()
            if self._part(site)
        ]
        return max(min(at), now + QUANTUM) if at else None

    def permit(self, lane: str, messages: int, now: float) -> Permit | None:
        """Take places for claimed messages of a lane; None if its site is not known or has no rate."""
        site = self._sites.get(lane) if self._limited else None
        if site is None or not self._is_limited(site):
            return None
        return Permit(now, sum(self._take(site, now) for _ in range(messages)))

    def admit(self, lane: str, site: Site, permit: Permit | None, now: float) -> bool:
        """Whether a message may leave now. Its site may have changed since the claim."""
        known = self._sites.get(lane)
        if known is not site and known != site:
            self._set_site(lane, site)
        self._used_at[lane] = now
        if not self._part(site):
            return False
        if not self._is_limited(site):
            return True
        if permit is not None and permit.left > 0 and permit.at >= self._changed_at(site):
            permit.left -= 1
            return True
        return self._take(site, now)

    def accepted(self, lane: str, started_at: float, now: float) -> None:
        """Count an accepted message, which began to leave at `started_at`."""
        if self._refusing and (site := self._sites.get(lane)) is not None:
            self._refusing.pop(site.name, None)
        for traffic in self._traffic_of.get(lane, ()):
            traffic.count(now, accepted=True)
        for key in self._keys_of(lane) if self._limited else ():
            if (rate := self._traffic[key].rate) is not None:
                self._set_rate(key, site_rate.accepted(rate, started_at), now)

    def slowed(self, lane: str, started_at: float, now: float, why: str) -> None:
        """Count a reply that asks to slow down."""
        site = self._sites.get(lane)
        for key in self._keys_of(lane):
            traffic = self._traffic[key]
            traffic.count(now, accepted=False)
            recent = traffic.recent(now, self._part(site) or 1.0)
            connections = min(site.connections if site else 1, traffic.most_connections)
            self._set_rate(key, site_rate.slowed(traffic.rate, recent, started_at, now, connections, why), now)

    def is_blocked_by(self, lane: str) -> Site | None:
        """Note that a domain of a site refuses all our mail. Return the site if several do and nothing was accepted."""
        site = self._sites.get(lane)
        if site is None or not site.address:
            return None
        refusing = self._refusing.setdefault(site.name, set())
        refusing.add(lane)
        return site if len(refusing) >= MIN_REFUSING else None

    def blocked(self, name: str, now: float, until: float, why: str) -> None:
        """Probe a site that refuses all mail, from `until` on."""
        traffic = self._traffic.setdefault(name, SiteTraffic())
        self._set_rate(name, site_rate.blocked(traffic.rate, traffic.recent(now, 1.0), now, until, why), now)

    def use_stored(self, key: str, rate: SiteRate | None) -> None:
        """Use a rate that the store has. A later one that this process found stays."""
        traffic = self._traffic.setdefault(key, SiteTraffic())
        own = traffic.rate
        if rate is not None and own is not None and own.changed_at > rate.changed_at:
            return
        if rate is None and key in self.changed:
            return
        if rate is not None and own is not None and (own.cut_at, own.changed_at) == (rate.cut_at, rate.changed_at):
            rate = replace(
                rate, used=rate.used + traffic.unsaved_use, refusals=own.refusals, connections=own.connections
            )
        traffic.rate = rate
        self._mark(key)

    def unsaved(self) -> Sequence[SavedRate]:
        """Return the changes for the store, and count them as saved."""
        changed = [(key, self._traffic[key]) for key in sorted(self.changed)]
        saved = [SavedRate(key, traffic.rate, traffic.unsaved_use) for key, traffic in changed]
        for _, traffic in changed:
            traffic.unsaved_use = 0.0
        self.changed.clear()
        return saved

    def not_saved(self, rates: Sequence[SavedRate]) -> None:
        """Count changes as unsaved again: the store did not take them."""
        for one in rates:
            self.changed.add(one.key)
            traffic = self._traffic[one.key]
            if traffic.rate is not None and one.rate is not None and traffic.rate.cut_at == one.rate.cut_at:
                traffic.unsaved_use += one.use

    def age(self, now: float) -> None:
        """Relax the rates of sites that get no mail."""
        for key, traffic in self._traffic.items():
            if traffic.rate is not None and now - traffic.last_at > site_rate.DAY:
                self._set_rate(key, site_rate.aged(traffic.rate, now), now)

    def rates(self) -> Mapping[str, SiteTraffic]:
        """Return the traffic of all sites and addresses in use, by key."""
        return self._traffic

    def sites(self) -> Sequence[Site]:
        """Return the sites of all known lanes, each once."""
        return list(self._groups.values())

    def lanes(self) -> Mapping[str, Site]:
        """Return the sites of all known lanes."""
        return self._sites

    def lanes_of(self, name: str) -> list[str]:
        """Return the known lanes of a site."""
        return [lane for lane, site in self._sites.items() if site.name == name]

    def clock_set(self, step: float) -> None:
        """Move all times by a step of the clock, in seconds."""
        if step:
            for traffic in self._traffic.values():
                traffic.clock_set(step)

    def forget_idle(self, now: float) -> None:
        """Forget lanes and sites that were not used lately."""
        if now - self._forgotten_at < IDLE / 10:
            return
        self._forgotten_at = now
        for lane in [lane for lane, at in self._used_at.items() if now - at > IDLE]:
            del self._used_at[lane], self._sites[lane], self._group_of[lane], self._traffic_of[lane]
        used = set(self._group_of.values())
        for group in [group for group in self._groups if group not in used]:
            for key in self._groups.pop(group).keys:
                self._groups_of[key].discard(group)
        kept = self.changed.union(*(site.keys for site in self._groups.values()))
        for key in [key for key, one in self._traffic.items() if key not in kept and one.rate is None]:
            del self._traffic[key]
            self._groups_of.pop(key, None)
            self._limited.discard(key)

    def _set_site(self, lane: str, site: Site) -> None:
        group = f"{site.name} {site.address}"
        self._sites[lane], self._group_of[lane], self._groups[group] = site, group, site
        self._few = min(self._few or site.connections, site.connections)
        for key in site.keys:
            self._traffic.setdefault(key, SiteTraffic())
            self._groups_of.setdefault(key, set()).add(group)
        self._traffic_of[lane] = tuple(self._traffic[key] for key in site.keys)
        self._traffic[site.name].bound = site.rate
        self._mark(site.name)

    def _mark(self, key: str) -> None:
        """Keep the limited sites apart: most messages need no other."""
        if self._traffic[key].is_limited:
            self._limited.add(key)
        else:
            self._limited.discard(key)

    def _set_rate(self, key: str, rate: SiteRate | None, now: float) -> None:
        traffic = self._traffic[key]
        before, traffic.rate = traffic.rate, rate
        if rate == before:
            return
        self.changed.add(key)
        self._mark(key)
        if rate is not None and before is not None and rate.cut_at == before.cut_at:
            traffic.unsaved_use += rate.used - before.used
        else:
            traffic.unsaved_use = 0.0
        if not is_address(key) and (kind := kind_of_change(before, rate)):
            why = (rate or before or SiteRate(0.0, 0.0)).why
            change = RateChange(kind, key, traffic.messages_per_minute, why, now)
            self.changes.append(change)
            traffic.history.append(change)

    def _keys_of(self, lane: str) -> tuple[str, ...]:
        return site.keys if (site := self._sites.get(lane)) is not None else ()

    def _limited_groups(self) -> list[tuple[str, Site]]:
        """Return the groups with a rate, and those of which this node may have no connection."""
        nodes = self._share().nodes
        if nodes == 1 and not self._limited:
            return []
        groups = {group for key in self._limited for group in self._groups_of.get(key, ())}
        if nodes == 0 or self._few < nodes != 1:
            groups |= {group for group, site in self._groups.items() if not self._part(site)}
        return [(group, self._groups[group]) for group in groups]

    def _limited_keys(self, site: Site) -> list[str]:
        return [key for key in site.keys if key in self._limited]

    def _is_limited(self, site: Site) -> bool:
        return bool(self._limited) and not self._limited.isdisjoint(site.keys)

    def _is_refused(self, site: Site) -> bool:
        return any((rate := self._traffic[key].rate) is not None and rate.refusals for key in self._limited_keys(site))

    def _changed_at(self, site: Site) -> float:
        return max((rate.changed_at for key in site.keys if (rate := self._traffic[key].rate)), default=0.0)

    def _part(self, site: Site | None) -> float:
        """Return the part of the site that this node has, 0 for none: that of its connections."""
        share = self._share()
        return 1.0 if share.nodes == 1 or site is None else share.of(site.name, site.connections) / site.connections

    def _free(self, site: Site, now: float) -> int:
        part = self._part(site)
        # After a refusal one node sends the next message.
        if not part or (self._is_refused(site) and not self._share().of(site.name, 1)):
            return 0
        return min((self._traffic[key].free(now, part) for key in self._limited_keys(site)), default=0)

    def _take(self, site: Site, now: float) -> bool:
        if self._free(site, now) <= 0:
            return False
        part = self._part(site)
        return all(self._traffic[key].take(now, part) for key in self._limited_keys(site))
