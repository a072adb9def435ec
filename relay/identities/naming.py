"""Addresses made of people's names, for the platform's own domain. Pure."""

import re
import unicodedata
from collections.abc import Container

_NOT_DECOMPOSED = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i"})
"""Latin letters that Unicode does not take apart into a letter and a mark."""

_BETWEEN = re.compile(r"[^a-z0-9]+")
_SILENT = re.compile(r"['’`.]")
_LONGEST = 60
"""Characters, so that a number still fits into a local part (RFC 5321 section 4.5.3.1.1)."""


def local_part(name: str) -> str:
    """Return "jane.doe" of "Jane Doe": words in ASCII and lower case, joined by dots; "" when no letter is Latin."""
    spelt = unicodedata.normalize("NFKD", name.casefold().translate(_NOT_DECOMPOSED))
    plain = "".join(char for char in spelt if not unicodedata.combining(char))
    words = _BETWEEN.split(_SILENT.sub("", plain))
    return ".".join(word for word in words if word)[:_LONGEST].rstrip(".")


def free_address(name: str, domain: str, taken: Container[str]) -> str:
    """Return the address of that name at the domain that nobody has: jane.doe@, jane.doe2@, …; "" when none can be."""
    local = local_part(name)
    if not local:
        return ""
    address, number = f"{local}@{domain}", 1
    while address in taken:
        number += 1
        address = f"{local}{number}@{domain}"
    return address
