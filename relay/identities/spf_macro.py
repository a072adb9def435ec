"""Macros in the domains and explanations of SPF records (RFC 7208 section 7)."""

import re
from collections.abc import Mapping
from urllib.parse import quote

from relay.resolver import IPAddress

_MACRO = re.compile(r"%(?:\{([a-z])([0-9]*)(r?)([.\-+,/_=]*)\}|([%_-]))", re.IGNORECASE)
_ESCAPES = {"%": "%", "_": " ", "-": "%20"}
_MAX_NAME = 253


def values(ip: IPAddress, sender: str, helo: str, domain: str) -> dict[str, str]:
    """Return what the letters stand for in the record of `domain`, but %{p}; `sender` has both its halves.

    Receiver and time, which only explanations may name, are left unknown.
    """
    local, _, sender_domain = sender.rpartition("@")
    return {
        "s": sender,
        "l": local,
        "o": sender_domain,
        "d": domain,
        "i": dotted(ip),
        "h": helo,
        "v": "in-addr" if ip.version == 4 else "ip6",
        "c": str(ip),
    }


def dotted(ip: IPAddress) -> str:
    """Return an address as %{i} shows it: dotted decimal, or the 32 nibbles of IPv6."""
    return str(ip) if ip.version == 4 else ".".join(ip.exploded.replace(":", "").upper())


def uses_validated_name(text: str) -> bool:
    """Tell whether %{p} stands in the text, which costs look-ups."""
    return any((match[1] or "").lower() == "p" for match in _MACRO.finditer(text))


def expand(text: str, known: Mapping[str, str]) -> str:
    """Expand every macro of a text that was found well-formed. An upper-case letter asks for URL escapes."""
    return _MACRO.sub(lambda match: _expanded(match, known), text)


def expand_domain(text: str, known: Mapping[str, str]) -> str:
    """Expand to a domain name; of one that is too long the left labels are dropped (section 7.3)."""
    name = expand(text, known).rstrip(".")
    while len(name) > _MAX_NAME and "." in name:
        name = name.partition(".")[2]
    return name


def _expanded(match: re.Match[str], known: Mapping[str, str]) -> str:
    letter, digits, reverse, delimiters, escape = match.groups()
    if escape:
        return _ESCAPES[escape]
    value = known.get(letter.lower(), "unknown")
    if digits or reverse or delimiters:
        parts = re.split(f"[{re.escape(delimiters or '.')}]", value)
        if reverse:
            parts.reverse()
        value = ".".join(parts[-int(digits) :] if digits else parts)
    return quote(value, safe="") if letter.isupper() else value
