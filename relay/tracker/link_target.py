"""Canonical forms of the hosts and URLs of links: spellings that a browser takes to the same place are equal. Pure.

The rules are those of the WHATWG URL standard for http and https URLs, as far as they concern where a request goes.
"""

import re
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import unquote

from relay.mail.domain_name import to_ascii
from relay.tracker.location import location

_URL = re.compile(r"(https?)://([^/?#\\]*)([^?#]*)(\?[^#]*)?", re.IGNORECASE)

_PORT = re.compile(r":([0-9]*)$")

_DEFAULT_PORTS = {"http": "80", "https": "443"}

_ESCAPE = re.compile(r"%([0-9a-fA-F]{2})")

_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")

_IPV4_PART = re.compile(r"0[xX][0-9a-fA-F]*|[0-9]+")


def canonical_host(host: str) -> str:
    """Return a host, without its port, as A-labels in lower case without final dots, or as an IP address.

    IPv4 addresses in octal, hexadecimal, short and decimal form are those they mean.
    """
    text = unquote(host.strip())
    if text.startswith("["):
        try:
            address = IPv6Address(text.strip("[]").partition("%")[0])
        except ValueError:
            return text.lower()
        return str(address.ipv4_mapped) if address.ipv4_mapped else f"[{address}]"
    name = (to_ascii(text) or text.lower()).rstrip(".")
    return _ipv4(name) or name


def host_of(target: str) -> str:
    """Return the canonical host of a URL, "" if it is no http or https URL."""
    parts = _parts(target)
    return canonical_host(parts[1]) if parts else ""


def canonical_url(target: str) -> str:
    """Return a URL without scheme, user, default port and fragment, in one spelling; "" if it is no http URL.

    http and https URLs are equal, because most sites lead from one to the other.
    """
    parts = _parts(target)
    if parts is None:
        return ""
    scheme, host, port, path, query = parts
    number = port.lstrip("0") or port[-1:]
    shown_port = "" if number in ("", _DEFAULT_PORTS[scheme]) else f":{number}"
    return f"{canonical_host(host)}{shown_port}{_canonical_path(path)}{_escapes(query)}"


def _parts(target: str) -> tuple[str, str, str, str, str] | None:
    """Return scheme, host, port, path and query."""
    text = location(target)
    match = _URL.match(text) if text is not None else None
    if match is None:
        return None
    authority = match[2].rpartition("@")[2]
    port = _PORT.search(authority)
    host = authority[: port.start()] if port else authority
    return match[1].lower(), host, port[1] if port else "", match[3], match[4] or ""


def _canonical_path(path: str) -> str:
    """Return a path without dot segments (RFC 3986 section 5.2.4). A backslash is a slash."""
    kept: list[str] = []
    segments = _escapes(path.replace("\\", "/")).split("/")[1:]
    for index, segment in enumerate(segments):
        is_last = index == len(segments) - 1
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
            continue
        if is_last:
            kept.append("")
    return "/" + "/".join(kept)


def _escapes(text: str) -> str:
    """Return the text with unreserved characters not escaped, and escapes in upper case (RFC 3986 section 6.2.2)."""

    def escape(found: "re.Match[str]") -> str:
        char = chr(int(found[1], 16))
        return char if _UNRESERVED.fullmatch(char) else found[0].upper()

    return _ESCAPE.sub(escape, text)


def _ipv4(name: str) -> str:
    """Return the IPv4 address that a host means to browsers, "" if it is a name."""
    parts = name.split(".")
    if len(parts) > 4 or not all(_IPV4_PART.fullmatch(part) for part in parts):
        return ""
    try:
        *first, last = (int(part, _base(part)) if part.lower() != "0x" else 0 for part in parts)
    except ValueError:
        return ""
    if any(number > 255 for number in first) or last >= 256 ** (4 - len(first)):
        return ""
    return str(IPv4Address(sum(number << 8 * (3 - index) for index, number in enumerate(first)) + last))


def _base(part: str) -> int:
    if part.lower().startswith("0x"):
        return 16
    return 8 if len(part) > 1 and part.startswith("0") else 10
