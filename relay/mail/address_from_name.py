"""Addresses that are derived from names: jane.doe@acme.test for "Jane Doe". Pure."""

import re
import unicodedata
from collections.abc import Container

_NOT_DECOMPOSED = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i"})
"""Latin letters that Unicode does not decompose into a letter and a mark."""

_SEPARATORS = re.compile(r"[^a-z0-9]+")

_REMOVED = re.compile(r"['’`.]")

_MAX_LENGTH = 60
"""Characters, at most, so that a number still fits into the local part (RFC 5321 section 4.5.3.1.1)."""


def local_part(name: str) -> str:
    """Return "jane.doe" for "Jane Doe": lower-case ASCII words joined by dots; "" if no letter is Latin."""
    decomposed = unicodedata.normalize("NFKD", name.casefold().translate(_NOT_DECOMPOSED))
    letters = "".join(char for char in decomposed if not unicodedata.combining(char))
    words = _SEPARATORS.split(_REMOVED.sub("", letters))
    return ".".join(word for word in words if word)[:_MAX_LENGTH].rstrip(".")


def free_address(name: str, domain: str, taken: Container[str]) -> str:
    """Return the first unused address for a name: jane.doe@, jane.doe2@, …; "" if no letter is Latin."""
    local = local_part(name)
    if not local:
        return ""
    address, number = f"{local}@{domain}", 1
    while address in taken:
        number += 1
        address = f"{local}{number}@{domain}"
    return address
