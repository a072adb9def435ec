"""The addresses that HTTP proxies add to a request: X-Forwarded-For, Forwarded (RFC 7239). Pure functions."""

import re
from ipaddress import ip_address

_ELEMENT = re.compile(r'((?:"(?:[^"\\]|\\.)*"|[^",])*)(?:,|$)')
"""An element of Forwarded up to its comma. A comma in a quoted string is none."""

_PARAMETER = re.compile(r'\s*([^\s=;",]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^";,\s]*)\s*(?:;|$)')
"""A parameter of an element, up to its semicolon."""

_BRACKETS = re.compile(r"\[([^\[\]]*)\](?::[A-Za-z0-9._-]*)?")
"""An IPv6 address in brackets, with or without a port (RFC 7239 section 6)."""

_IPV4_PORT = re.compile(r"([0-9.]+):[A-Za-z0-9._-]*")

MAX_HOPS = 32
"""Proxies that are read, at most: the last ones."""


def hops_of(forwarded_for: str) -> list[str]:
    """Return the entries of X-Forwarded-For, the last MAX_HOPS of them."""
    return forwarded_for.split(",")[-MAX_HOPS:]


def forwarded_for(forwarded: str) -> str:
    """Return the `for` parameters of Forwarded (RFC 7239 section 4) in the form of X-Forwarded-For.

    An element without one is an entry that is no address.
    """
    if not forwarded:
        return ""
    elements = [found[1] for found in _ELEMENT.finditer(forwarded) if found[0]]
    return ", ".join(_node(element) for element in elements)


def _node(element: str) -> str:
    value = next((value for name, value in _PARAMETER.findall(element) if name.lower() == "for"), "unknown")
    unquoted = re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
    return unquoted.replace(",", " ")


def hop_address(hop: str) -> str | None:
    """Return the address of an entry: without port, quotes, brackets and zone; IPv4 for an IPv4-mapped one.

    None for what is no address, as "unknown" and the names that hide one (RFC 7239 sections 6.2 and 6.3).
    """
    text = hop.strip().strip('"')
    if found := _BRACKETS.fullmatch(text) or _IPV4_PORT.fullmatch(text):
        text = found[1]
    return plain_address(text)


def plain_address(text: str) -> str | None:
    """Return an address in its usual form, an IPv4-mapped one (RFC 4291 section 2.5.5.2) as IPv4; None for others."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return str(getattr(address, "ipv4_mapped", None) or address)
