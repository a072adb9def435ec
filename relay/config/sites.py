"""Profiles of sites: MX hosts of large operators, and what they accept. `sites.toml` has the shipped ones."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Annotated

from pydantic import AfterValidator, Field

from relay.config.parsers import messages_per_minute
from relay.config.values import Count, Flag, HostPattern, Name, Rate, Section, suffix_of


def _host_names(patterns: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse a suffix without a dot, which would be a whole top-level domain."""
    for pattern in patterns:
        suffix_of(pattern)
    return patterns


class SiteProfile(Section):
    """`[[site]]`: the MX hosts of one operator. 0 means the value of [delivery], an empty rate no bound."""

    name: Name = Field(examples=["example"])
    mx: Annotated[tuple[HostPattern, ...], AfterValidator(_host_names)] = ()
    connections: Count = 0
    messages_per_connection: Count = 0
    rate: Rate = ""
    by_hosts: Flag = False

    @property
    def messages_per_minute(self) -> float:
        """The upper bound of the rate, 0 for none."""
        return messages_per_minute(self.rate) if self.rate else 0.0


@cache
def shipped_sites() -> tuple[SiteProfile, ...]:
    """Return the profiles that come with the program."""
    text = resources.files("relay.config").joinpath("sites.toml").read_text("utf-8")
    return tuple(SiteProfile.model_validate(table) for table in tomllib.loads(text)["site"])


def merge_sites(own: Sequence[SiteProfile], shipped: Sequence[SiteProfile]) -> tuple[SiteProfile, ...]:
    """Return the profiles in the order in which they are looked at.

    One of the configuration comes before all shipped ones. It overrides the keys of the shipped one of its name.
    """
    by_name = {site.name: site for site in shipped}
    merged = tuple(
        by_name[site.name].model_copy(update={key: getattr(site, key) for key in site.model_fields_set})
        if site.name in by_name
        else site
        for site in own
    )
    names = {site.name for site in own}
    return (*merged, *(site for site in shipped if site.name not in names))


@dataclass(frozen=True, slots=True)
class SiteProfiles:
    """Finds the profile of a host name: of all patterns that match, that of the first profile."""

    hosts: Mapping[str, tuple[int, SiteProfile]] = field(default_factory=dict)
    suffixes: Mapping[str, tuple[int, SiteProfile]] = field(default_factory=dict)
    """By name: the position of the profile, and the profile."""

    @property
    def names(self) -> frozenset[str]:
        """The names of all profiles."""
        return frozenset(profile.name for table in (self.hosts, self.suffixes) for _, profile in table.values())

    @classmethod
    def of(cls, profiles: Sequence[SiteProfile]) -> "SiteProfiles":
        """Return these profiles for look-ups; earlier ones come first."""
        hosts: dict[str, tuple[int, SiteProfile]] = {}
        suffixes: dict[str, tuple[int, SiteProfile]] = {}
        for position, profile in enumerate(profiles):
            for pattern in profile.mx:
                if suffix := suffix_of(pattern):
                    suffixes.setdefault(suffix, (position, profile))
                else:
                    hosts.setdefault(pattern, (position, profile))
        return cls(hosts, suffixes)

    def find(self, host: str) -> SiteProfile | None:
        """Return the profile of an MX host, None without one."""
        name = host.lower().rstrip(".")
        found = [self.hosts[name]] if name in self.hosts else []
        while name:
            name = name.partition(".")[2]
            if name in self.suffixes:
                found.append(self.suffixes[name])
        return min(found, key=lambda one: one[0])[1] if found else None
