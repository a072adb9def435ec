"""The canonical form of an address: what ownership, limits, suppressions and unsubscribes compare. Pure.

The address that was given is what is sent; its canonical form is a key.
"""

import re
import unicodedata
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from relay.mail.address import DOT_STRING
from relay.mail.idn import to_ascii

_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)


_NEEDS_PAIR = re.compile(r'["\\]')


def canonical(address: str) -> str:
    """Return the one spelling of a mailbox: every spelling of it gives the same, and the form gives itself.

    Lower case as a whole, the local part too: RFC 5321 lets a host distinguish `A@x` and `a@x`, lists of people do not.
    A quoted local part that needs no quotes has none, a domain is in A-labels without a dot at its end, an address
    literal is in its shortest form, and everything else is in NFC. Text that is no address is put in lower case.
    """
    if address.isascii() and '"' not in address and address[-1:] not in (".", "]"):
        return address.lower()
    local, at, domain = address.rpartition("@")
    return f"{canonical_local_part(local)}@{canonical_domain(domain)}" if at else _lower(address)


def canonical_domain(domain: str) -> str:
    """Return the one spelling of a domain or an address literal; one with characters no domain has in lower case."""
    if domain.startswith("[") and domain.endswith("]"):
        return _canonical_literal(domain)
    ascii_form = to_ascii(domain)
    return (_lower(domain) if ascii_form is None else ascii_form).rstrip(".")


def domain_of(address: str) -> str:
    """Return the domain of an address, or of what is a domain already, in canonical form; "" for neither."""
    return canonical_domain(address.rpartition("@")[2])


def keys_of(address: str) -> tuple[str, ...]:
    """Return the keys a store may have an address or domain under: its canonical form, and its lower case.

    Rows of versions before had the address in lower case as it was written.
    """
    form = canonical(address) if "@" in address else canonical_domain(address)
    return tuple(dict.fromkeys((form, address.lower())))


def canonical_local_part(local: str) -> str:
    """Return the one spelling of a local part."""
    if len(local) > 1 and local.startswith('"') and local.endswith('"'):
        local = quoted_if_needed(_QUOTED_PAIR.sub(r"\1", local[1:-1]))
    return _lower(local)


def quoted_if_needed(content: str) -> str:
    """Return the text as a local part: bare where it is a dot-string, else as a quoted string (RFC 5321 4.1.2)."""
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
