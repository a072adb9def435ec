"""What a lane's name stands for: `mx:<domain>`, `mx:[<address>]` or `provider:<name>`."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from relay.mail.reply import Reply

_LABEL = r"[a-zA-Z0-9_\u0080-\U0010ffff](?:[a-zA-Z0-9_\-\u0080-\U0010ffff]{0,61}[a-zA-Z0-9_\u0080-\U0010ffff])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_NUMERIC = re.compile(r"\d+|0x[0-9a-f]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain whose MX hosts are asked of DNS."""

    name: str


@dataclass(frozen=True, slots=True)
class Literal:
    """An address literal (RFC 5321 section 4.1.3): delivered to that address."""

    address: IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Upstream:
    """A provider, by its name in the settings."""

    name: str


def parse_lane(lane: str) -> Domain | Literal | Upstream | Reply:
    """Return what the lane stands for, or the reply of the permanent failure when it can be nothing."""
    kind, _, name = lane.partition(":")
    if kind == "provider":
        return Upstream(name)
    if name.startswith("[") and name.endswith("]"):
        literal = name[1:-1]
        if literal[:5].lower() == "ipv6:":
            literal = literal[5:]
        try:
            return Literal(ip_address(literal))
        except ValueError:
            return Reply(550, "5.1.2", f"{name} is not an address literal this server can deliver to")
    if not is_host_name(name):
        return Reply(550, "5.1.2", f"{name} is not a domain name")
    return Domain(name.rstrip("."))


def is_host_name(name: str) -> bool:
    """Tell whether this can be the name of a host or domain.

    An IP address in any of its spellings ("127.0.0.1", "127.1", "2130706433", "0x7f000001") is none: no top-level
    domain is a number (RFC 3696 section 2), and the C library would take it for an address.
    """
    name = name.removesuffix(".")
    return bool(_NAME.fullmatch(name)) and not _NUMERIC.fullmatch(name.rpartition(".")[2])
