"""The addresses that HTTP proxies add to a request: X-Forwarded-For, Forwarded (RFC 7239). Pure functions."""

import re

from multidict import MultiMapping

from relay.networks import is_ipv4, plain_address

_QUOTED = re.compile(r'"(?>[^"\\]++|\\.)*+("?)', re.DOTALL)
"""A quoted string; its group is empty if it does not end. One that does not end is matched once, in linear time."""

_BRACKETS = re.compile(r"\[([^\[\]]*)\](?::[A-Za-z0-9._-]*)?")
"""An IPv6 address in brackets, with or without a port (RFC 7239 section 6)."""

_IPV4_PORT = re.compile(r"([0-9.]+):[A-Za-z0-9._-]*")

MAX_HOPS = 32
"""Proxies that are read, at most: the last ones."""


def read_x_forwarded_for(headers: MultiMapping[str]) -> str:
    """Return X-Forwarded-For, else Forwarded in its form, of a request; "" without both."""
    given = ",".join(headers.getall("X-Forwarded-For", ()))
    return given or forwarded_for(",".join(headers.getall("Forwarded", ())))


def hops_of(forwarded_for: str) -> list[str]:
    """Return the entries of X-Forwarded-For, the last MAX_HOPS of them, without empty ones (RFC 9110 section 5.6.1)."""
    return [one for one in forwarded_for.split(",")[-MAX_HOPS:] if one and not one.isspace()]


def forwarded_for(forwarded: str) -> str:
    """Return the `for` parameters of Forwarded (RFC 7239 section 4) in the form of X-Forwarded-For.

    An element without one is an entry that is no address. Of many elements, the last MAX_HOPS are read.
    """
    elements = [element for element in _split(forwarded, ",") if element.strip()]
    return ", ".join(_node(element) for element in elements[-MAX_HOPS:])


def _node(element: str) -> str:
    """Return the value of the `for` parameter of an element, without quotes and commas."""
    parameters = (parameter.partition("=") for parameter in _split(element, ";"))
    value = next((value.strip() for name, _, value in parameters if name.strip().lower() == "for"), "")
    if value.startswith('"'):
        quoted = _QUOTED.fullmatch(value)
        value = re.sub(r"\\(.)", r"\1", value[1:-1]) if quoted and quoted[1] else ""
    return value.replace(",", " ") or "unknown"


def _split(text: str, separator: str) -> list[str]:
    """Split a text at a separator outside of quoted strings. A quote that does not end is an ordinary character."""
    masked = _QUOTED.sub(lambda found: "_" * len(found[0]) if found[1] else found[0], text)
    parts, start = [], 0
    for part in masked.split(separator):
        parts.append(text[start : start + len(part)])
        start += len(part) + len(separator)
    return parts


def hop_address(hop: str) -> str | None:
    """Return the address of an entry: without port, quotes, brackets and zone; IPv4 for an IPv4-mapped one.

    None for what is no address, as "unknown" and the names that hide one (RFC 7239 sections 6.2 and 6.3).
    """
    if is_ipv4(hop):
        return hop
    text = hop.strip().strip('"')
    if found := _BRACKETS.fullmatch(text) or _IPV4_PORT.fullmatch(text):
        text = found[1]
    return plain_address(text)
