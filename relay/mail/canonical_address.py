"""The canonical form of an address, by which addresses are compared. Pure.

Mail is sent to the address as given; the canonical form is only a key.
"""

import re
import unicodedata
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from relay.mail.address import DOT_STRING, quote_dots
from relay.mail.domain_name import to_ascii

_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)

_NOT_PLAIN = re.compile(r'"|\.\.|^\.|\.@|[.\]]$')
"""Quotes, dots that need quotes, a final dot, an address literal."""

_NEEDS_PAIR = re.compile(r'["\\]')

_MAX_CACHED = 320
"""Characters of an address or domain whose canonical form is cached, at most: a stranger's long text is not."""


def canonical(address: str) -> str:
    """Return the canonical form of an address; equal for all spellings of a mailbox, and idempotent.

    It is in lower case, including the local part: RFC 5321 lets a host distinguish `A@x` and `a@x`, but lists of people
    do not.

    Needless quotes are removed, and dots that need quotes get them. The domain is in A-labels without a final dot, an
    address literal in its shortest form, other text in NFC. Text that is not an address is put in lower case.
    """
    return _canonical(address) if len(address) <= _MAX_CACHED else _canonical.__wrapped__(address)


@lru_cache(maxsize=1024)
def _canonical(address: str) -> str:
    if address.isascii() and not _NOT_PLAIN.search(address):
        return address.lower()
    local, at, domain = quote_dots(address).rpartition("@")
    return f"{canonical_local_part(local)}@{canonical_domain(domain)}" if at else _lower(address)


def canonical_domain(domain: str) -> str:
    """Return the canonical form of a domain or address literal; an invalid domain in lower case."""
    return _canonical_domain(domain) if len(domain) <= _MAX_CACHED else _canonical_domain.__wrapped__(domain)


@lru_cache(maxsize=1024)
def _canonical_domain(domain: str) -> str:
    bare = domain.rstrip(".")
    if bare.startswith("[") and bare.endswith("]"):
        return _canonical_literal(bare)
    ascii_form = to_ascii(domain)
    return (_lower(domain) if ascii_form is None else ascii_form).rstrip(".")


def domain_of(address: str) -> str:
    """Return the canonical domain of an address or domain; "" if there is none."""
    return canonical_domain(address.rpartition("@")[2])


def keys_of(address: str) -> tuple[str, ...]:
    """Return the keys under which a store may have an address or domain: canonical form and lower case.

    Rows of older versions have the address in lower case as written.
    """
    form = canonical(address) if "@" in address else canonical_domain(address)
    return tuple(dict.fromkeys((form, address.lower())))


def canonical_local_part(local: str) -> str:
    """Return the canonical form of a local part.

    Quotes are decided on last: NFC makes characters that need them of some that do not, such as U+037E.
    """
    if len(local) > 1 and local.startswith('"') and local.endswith('"'):
        return quoted_if_needed(_lower(_QUOTED_PAIR.sub(r"\1", local[1:-1])))
    return quoted_if_needed(_lower(local)) if DOT_STRING.fullmatch(local) else _lower(local)


def quoted_if_needed(content: str) -> str:
    """Return the text as a local part: a dot-string if possible, else a quoted string (RFC 5321 section 4.1.2)."""
    if DOT_STRING.fullmatch(content):
        return content
    return '"' + _NEEDS_PAIR.sub(r"\\\g<0>", content) + '"'


def _lower(text: str) -> str:
    return text.lower() if text.isascii() else unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).lower())


def _canonical_literal(literal: str) -> str:
    text = literal[1:-1].lower()
    try:
        if not text.startswith("ipv6:"):
            return f"[{IPv4Address(text)}]"
        address = IPv6Address(text[len("ipv6:") :])
    except AddressValueError:
        return literal.lower()
    mapped = address.ipv4_mapped
    return f"[ipv6:::ffff:{mapped}]" if mapped else f"[ipv6:{address}]"
