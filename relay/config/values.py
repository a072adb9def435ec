"""Types of configuration values, and the base class of sections."""

import base64
import binascii
import re
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, NamedTuple
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, Strict, ValidationInfo
from pydantic_core import PydanticCustomError

from relay.mail.address import AddressError, parse_address
from relay.mail.canonical import canonical_domain

_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")


_DURATION = re.compile(rf"(?:{_DURATION_PART.pattern})+")


_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?(B|KB|MB|GB|KiB|MiB|GiB)")


_NUMBER = re.compile(r"\d+(?:\.\d+)?")


_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


_OCTETS = {"B": 1, "KB": 1000, "MB": 1000**2, "GB": 1000**3, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}


_DURATION_ALLOWED = 'a number with ms, s, m, h, d or w, such as "90s", "5m", "1.5h" or "72h"'


_SIZE_ALLOWED = 'a number with B, KB, MB, GB, KiB, MiB or GiB, such as "10MB" or "25MiB"'


_ADDRESS_ALLOWED = '"host:port", such as "127.0.0.1:2525" or "[::1]:2525"'


MAX_PERSON = 100
"""Characters of a display name, at most: mail programs show fewer, and header lines have a limit."""


HOST_NAME = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*", re.I
)
"""A host or domain name in ASCII (RFC 1123 section 2.1, and the underscore, which DNS allows)."""


class FromFile:
    """Marks a field whose value may come from a file, named by `<key>_file`."""


FROM_FILE = FromFile()


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
    number = _bare_number(value)
    if number is not None:
        return number
    if not isinstance(value, str) or not _DURATION.fullmatch(value.strip()):
        raise setting_error(f"{_quoted(value)} is not a duration", _DURATION_ALLOWED)
    return sum(float(amount) * _SECONDS[unit] for amount, unit in _DURATION_PART.findall(value))


def parse_size(value: object) -> int:
    """Return octets of "25MiB", "10MB" or a bare number of octets."""
    number = _bare_number(value)
    if number is not None:
        return int(number)
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise setting_error(f"{_quoted(value)} is not a size", _SIZE_ALLOWED)
    return int(float(match[1]) * _OCTETS[match[2]])


def parse_host_port(text: str) -> HostPort:
    """Split "host:port", "[v6]:port"; port 0 means any free port."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit():
        raise setting_error(f"{_quoted(text)} has no port", _ADDRESS_ALLOWED)
    if int(port) > 65535:
        raise setting_error(f"port {port} is too high", "0 to 65535")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise setting_error(f"{_quoted(text)}: an IPv6 address needs brackets", _ADDRESS_ALLOWED, f"[{host}]:{port}")
    return HostPort(_host(host), int(port))


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
                raise setting_error(f"{_quoted(value)} has bits set after its prefix", suggestion=str(network))
            return network
    raise setting_error(f"{_quoted(value)} is not a network", 'an address with a prefix length, such as "10.0.0.0/8"')


def _bare_number(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf"):
        return float(value)
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return float(value)
    return None


def _quoted(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else repr(value)


def _positive(value: float) -> float:
    if value <= 0:
        raise setting_error("is zero", "more than zero")
    return value


def _host(value: str) -> str:
    try:
        return str(ip_address(value))
    except ValueError:
        pass
    if not HOST_NAME.fullmatch(value):
        raise setting_error(f"{_quoted(value)} is not a host name or IP address")
    return value


def _domain(value: str) -> str:
    name = canonical_domain(value.strip())
    if not HOST_NAME.fullmatch(name):
        raise setting_error(f"{_quoted(value)} is not a domain name", 'a name such as "acme.test"')
    return name


def _host_pattern(value: str) -> str:
    below, star, host = value.strip().rpartition("*.")
    name = canonical_domain(host)
    if below or not HOST_NAME.fullmatch(name):
        raise setting_error(f"{_quoted(value)} is not a host or pattern of hosts", '"host.example" or "*.example"')
    return star + name


def _mail_address(value: str) -> str:
    try:
        return str(parse_address(value.strip()))
    except AddressError as error:
        raise setting_error(f"{_quoted(value)} is not a mail address: {error}", '"local@domain"') from None


def _base_url(value: str) -> str:
    url = value.strip().rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise setting_error(f"{_quoted(value)} is not an absolute URL", '"https://host" or "http://host:port"')
    if parts.query or parts.fragment or parts.username is not None:
        raise setting_error(
            f"{_quoted(value)} has a query, a fragment or a user in it", "scheme, host, port and path only"
        )
    return url


def _name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", value):
        raise setting_error(
            f"{_quoted(value)} is not a name", "letters, digits, dot, hyphen and underscore, at most 64"
        )
    return value


def _person(value: str) -> str:
    name = value.strip()
    if not name.isprintable() or len(name) > MAX_PERSON:
        raise setting_error(f"{_quoted(value)} is not a display name", f"at most {MAX_PERSON} characters on one line")
    return name


def _listen(value: str) -> str:
    parse_host_port(value)
    return value


def _relative_to_config(value: object, info: ValidationInfo) -> object:
    """Resolve a relative path in the folder of the configuration file; "" is no path."""
    if value in ("", None):
        return None
    base = info.context.get("folder") if isinstance(info.context, dict) else None
    return base / value if isinstance(base, Path) and isinstance(value, str) else value


def _unless_empty(check: Callable[[str], str]) -> AfterValidator:
    """Skip the check for the empty string, which means "none" or "the default"."""
    return AfterValidator(lambda value: check(value) if value else "")


Flag = Annotated[bool, Strict()]


Count = Annotated[int, Strict(), Field(ge=0)]
"""An integer from 0."""


PositiveCount = Annotated[int, Strict(), Field(ge=1)]
"""An integer from 1."""


Port = Annotated[int, Strict(), Field(ge=1, le=65535)]


Seconds = Annotated[float, BeforeValidator(parse_duration)]
"""A duration in seconds, zero allowed."""


PositiveSeconds = Annotated[float, BeforeValidator(parse_duration), AfterValidator(_positive)]
"""A duration in seconds above zero."""


Octets = Annotated[int, BeforeValidator(parse_size), AfterValidator(_positive)]
"""A size in octets above zero."""


Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(parse_network)]


Name = Annotated[str, AfterValidator(_name)]
"""Name of a listener, provider or credential."""


PersonName = Annotated[str, AfterValidator(_person)]
"""Display name of a person or company."""


OptionalName = Annotated[str, _unless_empty(_name)]


Host = Annotated[str, AfterValidator(_host)]


HostPattern = Annotated[str, AfterValidator(_host_pattern)]
"""A host name, or "*." and a domain for every host below it."""


DomainName = Annotated[str, AfterValidator(_domain)]


OptionalDomain = Annotated[str, _unless_empty(_domain)]


MailAddress = Annotated[str, AfterValidator(_mail_address)]


OptionalMailAddress = Annotated[str, _unless_empty(_mail_address)]


ListenAddress = Annotated[str, AfterValidator(_listen)]


OptionalListenAddress = Annotated[str, _unless_empty(_listen)]


BaseUrl = Annotated[str, _unless_empty(_base_url)]


DataDir = Annotated[Path, BeforeValidator(_relative_to_config)]


ConfigPath = Annotated[Path | None, BeforeValidator(_relative_to_config)]
"""A file; a relative name is in the folder of the configuration file."""


Secret = Annotated[SecretStr, FROM_FILE]


class Section(BaseModel):
    """A table of the configuration: frozen, and without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Listening(Section):
    """A section with a listening address "host:port"; the empty address turns the listener off."""

    address: OptionalListenAddress = ""

    @property
    def host(self) -> str:
        """Host name or IP address to bind, without brackets; "" if the listener is off."""
        return self._parsed.host

    @property
    def port(self) -> int:
        """TCP port to bind; 0 lets the system choose one."""
        return self._parsed.port

    @property
    def _parsed(self) -> HostPort:
        return parse_host_port(self.address) if self.address else HostPort("", 0)


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
