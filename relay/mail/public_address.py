"""Which IP addresses are public: mail and HTTP requests go to no others, unless the operator allows them."""

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

_NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
"""Well-known prefix (RFC 6052) and local-use prefix (RFC 8215): the IPv4 address is in the last 32 bits."""

_COMPATIBLE = IPv6Network("::/96")
"""IPv4-compatible addresses (RFC 4291 section 2.5.5.1), long deprecated."""

_SPECIAL = (IPv4Network("192.0.0.0/24"), IPv6Network("fec0::/10"))
"""IETF protocol assignments (RFC 6890) and the old site-local addresses (RFC 3879), which Python calls global."""

_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.I)


def is_numeric_host(host: str) -> bool:
    """Whether a host ends in a number, so that programs take it for an IPv4 address (WHATWG URL, section 3.5).

    True for "127.1", "2130706433" and "0x7f.1", which are other forms of 127.0.0.1, as for addresses.
    """
    labels = host.removesuffix(".").rpartition(".")
    return _NUMBER.fullmatch(labels[2]) is not None


def is_blocked(address: IPAddress, allowed: Iterable[IPNetwork] = ()) -> bool:
    """Whether relay must not connect to this address. Addresses in the allowed networks are never blocked.

    Blocked are loopback, private, link-local, shared (RFC 6598), unspecified, reserved, documentation and multicast
    addresses. So are IPv6 addresses that embed such an IPv4 address.
    """
    networks = tuple(allowed)
    forms = tuple(_forms(address))
    if any(form in network for form in forms for network in networks if form.version == network.version):
        return False
    return not all(_is_public(form) for form in forms)


def _is_public(address: IPAddress) -> bool:
    # Python versions differ about 6to4. The IPv4 address in it is checked as a form of its own.
    if isinstance(address, IPv6Address) and address.sixtofour is not None:
        return True
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    return not any(address in network for network in _SPECIAL if network.version == address.version)


def _forms(address: IPAddress) -> Iterable[IPAddress]:
    """Yield the addresses that a packet to this address may reach.

    A mapped or translated address reaches its IPv4 address only, a 6to4 or Teredo address both.
    """
    if isinstance(address, IPv4Address):
        yield address
    elif address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    elif any(address in network for network in _NAT64) or (address in _COMPATIBLE and int(address) > 1):
        yield IPv4Address(int(address) & 0xFFFFFFFF)
    else:
        yield address
        if address.sixtofour is not None:
            yield address.sixtofour
        if address.teredo is not None:
            yield from address.teredo


def is_never_a_server(address: IPAddress) -> bool:
    """Whether it is link-local, multicast or unspecified: no mail server is there, but metadata of clouds may be."""
    return any(form.is_link_local or form.is_multicast or form.is_unspecified for form in _forms(address))
