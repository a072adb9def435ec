"""The sections of the configuration that listen on TCP, and the addresses that they bind."""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address

from relay.config.settings import Settings
from relay.config.toml_positions import KeyPath
from relay.config.values import Listening


def listening_sections(settings: Settings) -> Mapping[KeyPath, Listening]:
    """Return the sections that listen on TCP, by the keys of their addresses."""
    found: dict[KeyPath, Listening] = {("listener", at, "address"): one for at, one in enumerate(settings.listeners)}
    found |= {(name, "address"): getattr(settings, name) for name in ("tracker", "api", "admin", "console", "metrics")}
    return {path: section for path, section in found.items() if section.address}


def bind_hosts(settings: Settings, section: Listening) -> tuple[str, ...]:
    """Return the addresses to bind. `[::]` is IPv4 too, unless others use that port of IPv4, or the port is 0."""
    sections = listening_sections(settings).values()
    others = [one.host for one in sections if one is not section and one.port == section.port]
    is_alone = bool(section.port) and all(":" in host for host in others)
    return ("::", "0.0.0.0") if section.host == "::" and is_alone else (section.host,)  # noqa: S104


def inbound_addresses(settings: Settings) -> frozenset[IPv4Address | IPv6Address]:
    """Return the IP addresses of inbound listeners, without unspecified ones such as 0.0.0.0."""
    hosts = (listener.host for listener in settings.listeners if listener.kind == "inbound")
    return frozenset(one for one in map(_ip_address, hosts) if one is not None and not one.is_unspecified)


def _ip_address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
