"""The sections of the configuration that listen on TCP, and the addresses that they bind."""

from collections.abc import Mapping

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
