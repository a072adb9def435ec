"""Mail addresses as the SMTP envelope writes them (RFC 5321 section 4.1.2, RFC 6531 section 3.3).

An address is kept as the text the client sent, without the angle brackets; the null reverse-path is "".
"""

import re

from relay.frozen import dataclass
from relay.mail.domain_name import to_ascii

MAX_LOCAL_PART = 64

MAX_DOMAIN = 255

MAX_PATH = 256
"""Octets of a local part, a domain and a path with its brackets (RFC 5321 section 4.5.3.1)."""

_ATEXT = r'[^\x00- "(),.:;<>@\[\\\]\x7f]'
"""All but the control and special characters of ASCII. Listing what it holds would take milliseconds to compile."""

DOT_STRING = re.compile(rf"{_ATEXT}+(?:\.{_ATEXT}+)*")
"""A local part that needs no quotes."""

ATOMS_AND_DOTS = re.compile(rf"(?:{_ATEXT}|\.)+")
"""A local part such as "a..b", which needs quotes, and which some hosts give to people without them."""

_QUOTED_STRING = re.compile(r'"(?:[^\x00-\x1f"\\\x7f]|\\[ -~])*"')

_LETTER = r"[^\x00-/:-@\[-^`{-\x7f]"
"""A letter, digit or underscore of ASCII, or any other character."""

_LABEL = rf"{_LETTER}(?:[^\x00-,./:-@\[-^`{{-\x7f]*{_LETTER})?"

DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
"""A domain name, with or without a dot at its end."""

LITERAL = re.compile(r"\[[A-Za-z0-9:.\-]+\]")
"""An address literal. Its content is not checked for an IP address."""

ATOM = r"A-Za-z0-9!#$%&'*+\-/=?^_`{|}~"
"""The characters of an atom in ASCII, as those of a class."""

_PLAIN_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_\-]*[A-Za-z0-9_])?"

PLAIN_ADDRESS = rf"[{ATOM}]++(?>\.[{ATOM}]++)*+@{_PLAIN_LABEL}(?:\.{_PLAIN_LABEL})*"
"""The usual form of an address: ASCII, no quotes, a domain name. `parse_address` accepts each that is not too long."""

_NOT_UTF8 = re.compile(r"[\ud800-\udfff]")

_SOURCE_ROUTE = re.compile(r"@[^:@]+(?:,@[^:@]+)*:")


class AddressError(ValueError):
    """The text is no address; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Address:
    """A mailbox: local part and domain as written, the domain in lower case for comparison."""

    local: str
    domain: str

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}"


def parse_address(text: str) -> Address:
    """Parse `local@domain`; raise AddressError naming the fault.

    Quoted local parts and address literals are allowed, source routes are not (see `strip_route`).
    """
    local, at, domain = text.rpartition("@")
    if not text.isascii() and _NOT_UTF8.search(text):
        raise AddressError("the address is not UTF-8")
    if not at:
        raise AddressError("no @ in the address")

    if not (DOT_STRING.fullmatch(local) or _QUOTED_STRING.fullmatch(local)):
        raise AddressError("the part before the @ is not a valid local part")
    if not (DOMAIN.fullmatch(to_ascii(domain) or "") or LITERAL.fullmatch(domain)):
        raise AddressError("the part after the @ is not a domain name")

    octets = len(text.encode())
    if octets > MAX_LOCAL_PART:
        _check_lengths(local, domain, octets)
    return Address(local, domain.lower())


def _check_lengths(local: str, domain: str, octets: int) -> None:
    if len(local.encode()) > MAX_LOCAL_PART:
        raise AddressError(f"the part before the @ is longer than {MAX_LOCAL_PART} octets")
    if len(domain.encode()) > MAX_DOMAIN:
        raise AddressError(f"the domain is longer than {MAX_DOMAIN} octets")
    if octets > MAX_PATH - 2:
        raise AddressError(f"the address is longer than {MAX_PATH} octets")


def quote_dots(text: str) -> str:
    """Return the address with a quoted local part if its dots need quotes, else unchanged.

    `a..b@x` and `"a..b"@x` are the same mailbox (RFC 5321 section 4.1.2).
    """
    local, at, domain = text.rpartition("@")
    if not at or DOT_STRING.fullmatch(local) or not ATOMS_AND_DOTS.fullmatch(local):
        return text
    return f'"{local}"@{domain}'


def is_address(text: str) -> bool:
    """Whether `parse_address` accepts the text."""
    try:
        parse_address(text)
    except AddressError:
        return False
    return True


def strip_route(path: str) -> str:
    """Remove an obsolete source route: `@a,@b:user@c` means `user@c` (RFC 5321 appendix C)."""
    route = _SOURCE_ROUTE.match(path)
    return path[route.end() :] if route else path


def is_ascii(address: str) -> bool:
    """Whether the address can be used without SMTPUTF8 (RFC 6531)."""
    return address.isascii()
