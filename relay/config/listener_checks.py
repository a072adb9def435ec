"""Checks of listening sections: SMTP listeners, the tracker, and addresses that several sections use.

Pure functions of the settings, for `relay.config.checks`.
"""

from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from relay.config.bind_addresses import listening_sections
from relay.config.errors import Problem
from relay.config.settings import Listener, Settings, Tracker
from relay.config.toml_positions import KeyPath
from relay.config.values import Listening
from relay.networks import Network

_LOOPBACK = "127.0.0.1"

REUSING = frozenset({"listener", "tracker"})
"""Sections that `server.reuse_port` applies to."""

_SHORTEST_PREFIX_V4, _SHORTEST_PREFIX_V6 = 8, 16
"""Bits. A shorter prefix covers so much of the internet that relaying for it is an open relay."""


def find_listener_errors(settings: Settings) -> Iterator[Problem]:
    """Yield the problems of listening sections that make the settings unusable."""
    yield from duplicate_names("listener", [listener.name for listener in settings.listeners])
    in_use: dict[tuple[str, int], KeyPath] = {}
    for index, listener in enumerate(settings.listeners):
        path: KeyPath = ("listener", index)
        if listener.tls != "none" and listener.certificate is None:
            yield Problem((*path, "certificate"), f'is missing: tls = "{listener.tls}" needs it', "a PEM file")
        if listener.kind == "submission":
            yield from _open_relay(path, listener)
        yield from _proxy_protocol(path, listener)
    yield from _reserved_connections(settings)
    yield from _proxy_protocol(("tracker",), settings.tracker)

    for path, section in listening_sections(settings).items():
        yield from _address_conflict(in_use, path, section, reuse_port=settings.server.reuse_port)


def duplicate_names(table: str, names: Sequence[str]) -> Iterator[Problem]:
    """Yield the tables of an array whose name an earlier one has."""
    for index, name in enumerate(names):
        if (first := names.index(name)) < index:
            yield Problem((table, index, "name"), f'"{name}" is the name of {table} {first + 1} too', "a name for each")


def _reserved_connections(settings: Settings) -> Iterator[Problem]:
    most, left = settings.smtp.max_connections, settings.smtp.max_connections
    for index, listener in enumerate(settings.listeners):
        if listener.reserved_connections > left:
            problem = f"{listener.reserved_connections} are more than the {left} that remain of smtp.max_connections"
            allowed = f"0 to {left}, or a larger smtp.max_connections than {most}"
            yield Problem(("listener", index, "reserved_connections"), problem, allowed)
        left = max(left - listener.reserved_connections, 0)


def _address_conflict(
    in_use: dict[tuple[str, int], KeyPath], path: KeyPath, section: Listening, *, reuse_port: bool
) -> Iterator[Problem]:
    """Add an address to those in use and yield a problem if it is one already; port 0 is always free."""
    host, port = section.host, section.port
    for (other, its_port), before in in_use.items():
        is_shared = reuse_port and {path[0], before[0]} <= REUSING
        if port and port == its_port and _overlap(host, other, is_shared=is_shared):
            owner = " ".join(str(part + 1) if isinstance(part, int) else part for part in before[:-1])
            may_share = not is_shared and host != other and {path[0], before[0]} <= REUSING
            allowed = "an address for each" + (", or server.reuse_port = true" if may_share else "")
            yield Problem(path, f"{owner} listens there already", allowed)
            break
    in_use.setdefault((host, port), path)


def _overlap(host: str, other: str, *, is_shared: bool) -> bool:
    """Whether two sections cannot listen on one port of these hosts: one may be all addresses of its version.

    With SO_REUSEPORT a socket of one address takes its connections from that of all addresses.
    """
    one, two = (_LOOPBACK if name.lower() == "localhost" else name.lower() for name in (host, other))
    if one == two or is_shared:
        return one == two
    return any(all_of in (one, two) and (":" in one) == (":" in two) == (":" in all_of) for all_of in ("0.0.0.0", "::"))  # noqa: S104


def _open_relay(path: KeyPath, listener: Listener) -> Iterator[Problem]:
    if _is_local(listener):
        return
    for index in _too_wide(listener.allow_networks):
        network = listener.allow_networks[index]
        problem = f"{network} would make {listener.address} an open relay: any client could send to any address"
        yield Problem((*path, "allow_networks", index), problem, "the networks of your applications")


def _proxy_protocol(path: KeyPath, section: Listener | Tracker) -> Iterator[Problem]:
    """Yield PROXY headers without a proxy, or from too many."""
    if section.proxy_protocol and not section.trusted_proxies:
        problem = "is missing: with proxy_protocol only these may connect"
        yield Problem((*path, "trusted_proxies"), problem, "the networks of the proxies")
    if not section.proxy_protocol or is_loopback(section.host):
        return
    for index in _too_wide(section.trusted_proxies):
        problem = f"{section.trusted_proxies[index]} would let any client pretend any address"
        yield Problem((*path, "trusted_proxies", index), problem, "the networks of the proxies")


def _too_wide(networks: Sequence[Network]) -> Iterator[int]:
    """Yield the numbers of the networks that cover much of the internet."""
    for index, network in enumerate(networks):
        if network.prefixlen < (_SHORTEST_PREFIX_V4 if network.version == 4 else _SHORTEST_PREFIX_V6):
            yield index


def find_listener_warnings(settings: Settings) -> Iterator[Problem]:
    """Yield settings of listening sections that are allowed but probably a mistake."""
    for index, listener in enumerate(settings.listeners):
        yield from _listener_warnings(settings, ("listener", index), listener)
    yield from _tracker_warnings(settings.tracker)


def _listener_warnings(settings: Settings, path: KeyPath, listener: Listener) -> Iterator[Problem]:
    if listener.trusted_proxies and not listener.proxy_protocol:
        yield Problem((*path, "trusted_proxies"), "has no effect without proxy_protocol", "proxy_protocol = true")
    if listener.kind == "inbound":
        return
    if listener.auth == "required" and not settings.credentials:
        yield Problem((*path, "auth"), "no client can send: there are no [credentials]")
    elif listener.auth == "required" and listener.tls == "none" and not _is_local(listener):
        problem = "AUTH is offered only under TLS or to loopback clients, and this listener has no TLS"
        yield Problem((*path, "auth"), problem, 'tls = "starttls" or "implicit"')
    if listener.tls == "none" and (listener.certificate or listener.key):
        yield Problem((*path, "tls"), 'is "none", so the certificate is not used', '"starttls" or "implicit"')


def _tracker_warnings(tracker: Tracker) -> Iterator[Problem]:
    path: KeyPath = ("tracker", "base_url")
    allowed = "the URL under which readers reach the tracker"
    if (host := urlsplit(tracker.base_url).hostname) in ("0.0.0.0", "::"):  # noqa: S104
        yield Problem(path, f"no reader can reach {host}", allowed)
    elif tracker.proxy_protocol and tracker.base_url == f"http://{tracker.address}":
        yield Problem(path, "is the tracker itself, which answers through the proxy only", allowed)


def _is_local(listener: Listener) -> bool:
    """Whether only this machine can be a client; a proxy brings others."""
    return is_loopback(listener.host) and not listener.proxy_protocol


def is_loopback(host: str) -> bool:
    """Whether a host of a section is this machine by its name or address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
