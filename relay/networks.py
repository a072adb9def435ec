"""IP addresses and networks of clients. Pure functions."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Network = IPv4Network | IPv6Network


def unmapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return an IPv4-mapped address (RFC 4291 section 2.5.5.2) as IPv4, any other unchanged."""
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


_IPV4_PARTS = frozenset(map(str, range(256)))
"""The parts of an IPv4 address, without leading zeros."""

_ip_address = lru_cache(maxsize=4096)(ip_address)
"""Cached: clients come again, and behind a proxy all connections have its address."""


def is_ipv4(text: str) -> bool:
    """Whether this is an IPv4 address in its usual form."""
    parts = text.split(".", 4)
    return len(parts) == 4 and _IPV4_PARTS.issuperset(parts)


def plain_address(text: str) -> str | None:
    """Return an address in its usual form: without zone, an IPv4-mapped one as IPv4. None for what is no address."""
    if is_ipv4(text):
        return text
    try:
        return str(unmapped(_ip_address(text.partition("%")[0])))
    except ValueError:
        return None


def is_in(text: str, networks: Iterable[Network]) -> bool:
    """Whether an address is in one of the networks; False for what is no address."""
    plain = plain_address(text)
    if plain is None:
        return False
    address = _ip_address(plain)
    return any(address.version == network.version and address in network for network in networks)


@lru_cache(maxsize=4096)
def is_loopback(address: str) -> bool:
    """Whether an IP address is one of this machine's own. Raises ValueError for what is no address."""
    return _ip_address(address).is_loopback


class NetworkSet:
    """The addresses of some networks. The answers about recent addresses are cached: clients come again."""

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        self._networks = tuple(networks)
        self._is_in = lru_cache(maxsize=4096)(lambda text: is_in(text, self._networks))

    def __contains__(self, address: object) -> bool:
        """Whether an address is in one of the networks; False for what is no address."""
        return isinstance(address, str) and self._is_in(address)
