"""Types of configuration values, and the base class of sections."""

import os
import re
from collections.abc import Callable, Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, Strict, ValidationInfo

from relay.config.parsers import (
    HOST_NAME,
    HostPort,
    messages_per_minute,
    parse_duration,
    parse_host,
    parse_host_port,
    parse_network,
    parse_share,
    parse_size,
    quoted,
    setting_error,
)
from relay.mail.address import AddressError, parse_address
from relay.mail.canonical_address import canonical_domain, keys_of

os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
"""pydantic looks for plugins among all installed packages before it makes the first model, which takes 20 ms."""

MAX_PERSON = 100
"""Characters of a display name, at most: mail programs show fewer, and header lines have a limit."""


class FromFile:
    """Marks a field whose value may come from a file, named by `<key>_file`."""


FROM_FILE = FromFile()


def _positive(value: float) -> float:
    if value <= 0:
        raise setting_error("is zero", "more than zero")
    return value


def _domain(value: str) -> str:
    name = canonical_domain(value.strip())
    if not HOST_NAME.fullmatch(name):
        raise setting_error(f"{quoted(value)} is not a domain name", 'a name such as "acme.test"')
    return name


def _host_pattern(value: str) -> str:
    prefix, star, host = value.strip().rpartition("*.")
    name = canonical_domain(host)
    if prefix or not HOST_NAME.fullmatch(name):
        raise setting_error(f"{quoted(value)} is not a host or pattern of hosts", '"host.example" or "*.example"')
    return star + name


def suffix_of(pattern: str) -> str:
    """Return the domain of a pattern "*.example.net", "" for a host name. Raises for a top-level domain."""
    suffix = pattern.removeprefix("*.") if pattern.startswith("*.") else ""
    if suffix and "." not in suffix:
        raise setting_error(f"{quoted(pattern)} would be a whole top-level domain", '"*." and a domain with a dot')
    return suffix


def _rate(value: str) -> str:
    messages_per_minute(value)
    return value.strip()


def _mail_address(value: str) -> str:
    try:
        return str(parse_address(value.strip()))
    except AddressError as error:
        raise setting_error(f"{quoted(value)} is not a mail address: {error}", '"local@domain"') from None


def _base_url(value: str) -> str:
    url = value.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        is_absolute = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # The port or an IPv6 address is invalid.
        is_absolute = False
    if not is_absolute:
        raise setting_error(f"{quoted(value)} is not an absolute URL", '"https://host" or "http://host:port"')
    if parts.query or parts.fragment or parts.username is not None:
        raise setting_error(
            f"{quoted(value)} has a query, a fragment or a user in it", "scheme, host, port and path only"
        )
    return url


def _name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", value):
        raise setting_error(f"{quoted(value)} is not a name", "letters, digits, dot, hyphen and underscore, at most 64")
    return value


_JOINERS = "\u200c\u200d"
"""Persian and Indian names and emoji are written with them."""


def _person(value: str) -> str:
    name = value.strip()
    if len(name) > MAX_PERSON:
        raise setting_error(
            f"{quoted(value)} has {len(name)} characters", f"at most {MAX_PERSON} characters on one line"
        )
    hidden = next((one for one in name if not one.isprintable() and one not in _JOINERS), "")
    if hidden:
        raise setting_error(
            f"{quoted(value)} has the character U+{ord(hidden):04X}, which is not shown",
            "a name on one line, without control characters",
        )
    return name


def _text(value: str) -> str:
    if "\0" in value:
        raise setting_error("has a NUL character", "text without it")
    return value


def _listen(value: str) -> str:
    parse_host_port(value)
    return value


def _relative_to_config(value: object, info: ValidationInfo) -> object:
    """Resolve a relative path in the folder of the configuration file; "" is no path."""
    if value in ("", None):
        return None
    if isinstance(value, str) and "\0" in value:
        raise setting_error("has a NUL character", "the name of a file or folder")
    base = info.context.get("folder") if isinstance(info.context, dict) else None
    return base / value if isinstance(base, Path) and isinstance(value, str) else value


def reject_duplicates(value: object) -> object:
    """Reject keys that are two spellings of one domain or address."""
    seen: set[str] = set()
    for key in value if isinstance(value, dict) else ():
        name = keys_of(str(key).strip())[0]
        if name in seen:
            raise setting_error(
                f'"{key}" is configured twice in different spellings', "one table for each name; case does not matter"
            )
        seen.add(name)
    return value


def _unless_empty(check: Callable[[str], str]) -> AfterValidator:
    """Skip the check for the empty string, which means "none" or "the default"."""
    return AfterValidator(lambda value: check(value) if value else "")


Text = Annotated[str, AfterValidator(_text)]
"""A string that system calls and protocols accept: without NUL."""

Flag = Annotated[bool, Strict()]

Count = Annotated[int, Strict(), Field(ge=0)]
"""An integer from 0."""

PositiveCount = Annotated[int, Strict(), Field(ge=1)]
"""An integer from 1."""

Port = Annotated[int, Strict(), Field(ge=1, le=65535)]

Share = Annotated[float, BeforeValidator(parse_share, json_schema_input_type=float | str)]
"""A part of a whole: a number from 0 to 1."""

Seconds = Annotated[float, BeforeValidator(parse_duration, json_schema_input_type=float | str)]
"""A duration in seconds, zero allowed."""

PositiveSeconds = Annotated[
    float, BeforeValidator(parse_duration, json_schema_input_type=float | str), AfterValidator(_positive)
]
"""A duration in seconds above zero."""

Rate = Annotated[str, _unless_empty(_rate)]
"""Messages in a unit of time, such as "20/min"; "" for no bound."""

Octets = Annotated[int, BeforeValidator(parse_size, json_schema_input_type=int | str), AfterValidator(_positive)]
"""A size in octets above zero."""

Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(parse_network, json_schema_input_type=str)]

Name = Annotated[str, AfterValidator(_name)]
"""Name of a listener, provider or credential."""

RESERVED_NAMES = frozenset({"new", "actions"})
"""Names, in small letters, that are parts of the addresses of pages."""

PersonName = Annotated[str, AfterValidator(_person)]
"""Display name of a person or company."""

OptionalName = Annotated[str, _unless_empty(_name)]

Host = Annotated[str, AfterValidator(parse_host)]

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

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)

    def replaced(self, changes: Mapping[str, object]) -> Self:
        """Return the section with other fields, by name. `model_copy` would keep what is cached of the former ones."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return self.model_construct(set(self.model_fields_set) | changes.keys(), **(values | dict(changes)))


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
