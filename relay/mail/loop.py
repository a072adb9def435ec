"""Loops: the mark of what this host passed on to an address, so that it is known when it comes back. Pure.

Counting Received fields (RFC 5321 section 6.3) ends every loop, but late; a mark of our own ends it at the first turn.
The name does not begin like the instructions of applications: those are removed from what leaves, and a mark must
survive every other relay on the way.
"""

from collections.abc import Iterable
from hashlib import blake2b

from relay.mail.address import normal
from relay.mail.headers import Field, named

NAME = b"Relay-Loop"
"""Name of the field. Its value names nobody: it is a digest of host and address."""

_DIGEST = 12


def mark(hostname: str, address: str = "") -> bytes:
    """Return the field, with its line end, of a mail that this host passes on to that address.

    An empty address marks the mail as one that this host has passed on at all.
    """
    return NAME + b": " + _digest(hostname, address) + b"\r\n"


def is_marked(content: bytes, found: Iterable[Field], hostname: str, address: str = "") -> bool:
    """Tell whether `mark` of the same host and address is among these fields of the content."""
    wanted = _digest(hostname, address)
    return any(one.value(content) == wanted for one in named(found, NAME.lower()))


def _digest(hostname: str, address: str) -> bytes:
    whole = f"{hostname.lower()}\0{normal(address)}".encode("utf-8", "surrogateescape")
    return blake2b(whole, digest_size=_DIGEST, person=b"relay.loop").hexdigest().encode("ascii")
