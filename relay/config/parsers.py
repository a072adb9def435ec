"""Parsers of configuration values: durations, sizes, addresses, networks and keys."""

import base64
import binascii
import re
import sys
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import NamedTuple
from urllib.parse import urlsplit

from pydantic_core import PydanticCustomError

from relay.config.masking import mask_url

_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")

_DURATION = re.compile(rf"(?:{_DURATION_PART.pattern})+")

_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?(B|KB|MB|GB|KiB|MiB|GiB)")

_NUMBER = re.compile(r"\d+(?:\.\d+)?")

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}

_OCTETS = {"B": 1, "KB": 1000, "MB": 1000**2, "GB": 1000**3, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}

_DURATION_ALLOWED = 'a number with ms, s, m, h, d or w, such as "90s", "5m", "1.5h" or "72h"'

_SIZE_ALLOWED = 'a number with B, KB, MB, GB, KiB, MiB or GiB, such as "10MB" or "25MiB"'

MAX_DURATION = 36500 * 86400.0
"""Seconds, at most: a later time than in 100 years may have no calendar date."""

MAX_SIZE = 1 << 50
"""Octets of a size, at most."""

MAX_RATE = 1e9
"""Messages in the unit of a rate, at most."""

_RATE = re.compile(r"(\d{1,10}(?:\.\d{1,6})?)\s*/\s*(s|min|h|d)")

_RATE_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}

_RATE_ALLOWED = 'messages in a unit of time, above zero: "50/s", "20/min", "1000/h" or "5000/d"'

_ADDRESS_ALLOWED = '"host:port", such as "127.0.0.1:2525" or "[::1]:2525"'

HOST_NAME = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*", re.I
)
"""A host or domain name in ASCII (RFC 1123 section 2.1, and the underscore, which DNS allows)."""

_MAX_SHOWN = 200
"""Characters of a value in an error text."""


class HostPort(NamedTuple):
    """A TCP address: host name or IP address without brackets, and port."""

    host: str
    port: int


def setting_error(problem: str, allowed: str = "", suggestion: str = "") -> PydanticCustomError:
    """Return a pydantic error with problem, allowed values and suggestion, for a validator to raise."""
    context = {"problem": problem, "allowed": allowed, "suggestion": suggestion}
    return PydanticCustomError("setting", "{problem}", context)


def parse_duration(value: object) -> float:
    """Return seconds of "90s", "1.5h", "1h30m" or a bare number of seconds."""
    seconds = _bare_number(value)
    if seconds is None:
        if not isinstance(value, str) or not _DURATION.fullmatch(value.strip()):
            raise setting_error(f"{quoted(value)} is not a duration", _DURATION_ALLOWED)
        seconds = sum(float(amount) * _SECONDS[unit] for amount, unit in _DURATION_PART.findall(value))
    if seconds > MAX_DURATION:
        raise setting_error("is too long", "36500d or less")
    return seconds


def parse_size(value: object) -> int:
    """Return octets of "25MiB", "10MB" or a bare number of octets."""
    octets = _bare_number(value)
    if octets is None:
        match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
        if match is None:
            raise setting_error(f"{quoted(value)} is not a size", _SIZE_ALLOWED)
        octets = float(match[1]) * _OCTETS[match[2]]
    if octets > MAX_SIZE:
        raise setting_error("is too large", f"{MAX_SIZE // _OCTETS['GiB']}GiB or less")
    return int(octets)


def messages_per_minute(rate: str) -> float:
    """Return the messages a minute of "50/s", "20/min", "1000/h" or "5000/d"."""
    match = _RATE.fullmatch(rate.strip())
    if match is None or not 0 < float(match[1]) <= MAX_RATE:
        raise setting_error(f"{quoted(rate)} is not a rate", _RATE_ALLOWED)
    return float(match[1]) * 60.0 / _RATE_SECONDS[match[2]]


def parse_share(value: object) -> float:
    """Return a number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise setting_error(f"{value!r} is not a share", "a number from 0 to 1, such as 0.05")
    return float(value)


def parse_host_port(text: str) -> HostPort:
    """Split "host:port", "[v6]:port"; port 0 means any free port."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit():
        raise setting_error(f"{quoted(text)} has no port", _ADDRESS_ALLOWED)
    if int(port) > 65535:
        raise setting_error(f"port {port} is too high", "0 to 65535")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise setting_error(f"{quoted(text)}: an IPv6 address needs brackets", _ADDRESS_ALLOWED, f"[{host}]:{port}")
    return HostPort(parse_host(host), int(port))


def postgres_url_fault(url: str) -> str:
    """Return what is wrong with the form of a PostgreSQL URL, "" for nothing; never a part of the URL."""
    escapes = "special characters of user and password are escaped: %40 for @, %2F for /, %3A for :, %3F for ?"
    try:
        parts = urlsplit(url)
    except ValueError:
        return f"has brackets that are no IPv6 address; {escapes}"
    hosts = parts.netloc.rpartition("@")[2]
    ports = [host.rpartition("]")[2].partition(":") for host in hosts.split(",")]
    unescaped = "@" in parts.path or parts.netloc.count("@") > 1 or parts.netloc.rpartition("@")[0].count(":") > 1
    if unescaped or any(colon and not (port.isascii() and port.isdigit()) for _, colon, port in ports):
        return f"has a special character in a place where it means something else; {escapes}"
    return ""


def parse_network(value: object) -> IPv4Network | IPv6Network:
    """Return the network of "10.0.0.0/8", "::1/128" or a single address."""
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    if isinstance(value, str):
        try:
            network = ip_network(value.strip(), strict=False)
        except ValueError:
            pass
        else:
            if str(network.network_address) != str(ip_address(value.strip().partition("/")[0])):
                raise setting_error(f"{quoted(value)} has bits set after its prefix", suggestion=str(network))
            return network
    raise setting_error(f"{quoted(value)} is not a network", 'an address with a prefix length, such as "10.0.0.0/8"')


def _bare_number(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf"):
        return float(min(value, sys.float_info.max))  # A longer integer cannot be converted.
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return float(value)
    return None


def quoted(value: object) -> str:
    """Return the value for an error text: strings in quotes, booleans as in TOML; secrets of URLs masked.

    Long texts are shortened.
    """
    match value:
        case str():
            text = mask_url(value)
            return f'"{text[:_MAX_SHOWN]}…"' if len(text) > _MAX_SHOWN else f'"{text}"'
        case bool():
            return str(value).lower()
        case int() | float():
            return number_text(value)
        case list():
            return "an array"
        case dict():
            return "a table"
    return str(value)


def number_text(value: float) -> str:
    """Return a number; one with very many digits in words, because Python refuses to write it."""
    return "a number with very many digits" if isinstance(value, int) and value.bit_length() > 1024 else str(value)


def parse_host(value: str) -> str:
    """Return a host name unchanged, or an IP address in its standard form."""
    try:
        return str(ip_address(value))
    except ValueError:
        pass
    if not HOST_NAME.fullmatch(value):
        raise setting_error(f"{quoted(value)} is not a host name or IP address")
    return value


_KEY_ID = re.compile(r"[A-Za-z0-9]{1,16}")

MIN_OCTETS, MAX_OCTETS = 16, 64
"""Octets of a key: at least 128 bits, at most what keyed BLAKE2b accepts (RFC 7693 section 2.9)."""


def parse_tracker_key(text: str) -> tuple[str, bytes]:
    """Return id and octets of "k1:<base64>"; raise ValueError that names the error but never the key."""
    name, colon, encoded = text.strip().partition(":")
    if not colon or not _KEY_ID.fullmatch(name):
        raise ValueError("a key has an id of 1 to 16 letters and digits, a colon, and base64")

    try:
        octets = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f'the text after "{name}:" is not base64') from None
    if not MIN_OCTETS <= len(octets) <= MAX_OCTETS:
        raise ValueError(f'key "{name}" has {len(octets)} octets, not {MIN_OCTETS} to {MAX_OCTETS}')
    return name, octets
