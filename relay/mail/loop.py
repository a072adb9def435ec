"""Loops: how mail is known that this host had before. Pure.

Mail of applications leaves with no field but those every MTA adds, so its trace field is what tells it: `relay_hosts`.
What is passed on to an address of ours, such as answers and copies, carries a mark as well.

Counting Received fields (RFC 5321 section 6.3) ends every loop, but late; a mark of our own ends it at the first turn.
The name does not begin like the instructions of applications: those are removed from what leaves, and a mark must
survive every other relay on the way.
"""

import re
from collections.abc import Iterable
from hashlib import blake2b

from relay.mail.address import normal
from relay.mail.headers import Field, named

NAME = b"Relay-Loop"
"""Name of the field. Its value names nobody: it is a digest of host and address."""

_DIGEST = 12
_BY_RELAY = re.compile(rb"\bby ([^\s()]{1,255}) \(relay\) with ")
"""As `relay.mail.trace.received` writes it."""


def mark(hostname: str, address: str = "") -> bytes:
    """Return the field, with its line end, of a mail that this host passes on to that address.

    An empty address marks the mail as one that this host has passed on at all.
    """
    return NAME + b": " + _digest(hostname, address) + b"\r\n"


def is_marked(content: bytes, found: Iterable[Field], hostname: str, address: str = "") -> bool:
    """Tell whether `mark` of the same host and address is among these fields of the content."""
    wanted = _digest(hostname, address)
    return any(one.value(content) == wanted for one in named(found, NAME.lower()))


def relay_hosts(content: bytes, found: Iterable[Field]) -> tuple[str, ...]:
    """Return the hosts, in lower case, whose relay wrote a Received field among these; one for each field."""
    traces = (_BY_RELAY.search(one.value(content)) for one in named(found, b"received"))
    return tuple(trace[1].decode("utf-8", "replace").lower() for trace in traces if trace is not None)


def _digest(hostname: str, address: str) -> bytes:
    whole = f"{hostname.lower()}\0{normal(address)}".encode("utf-8", "surrogateescape")
    return blake2b(whole, digest_size=_DIGEST, person=b"relay.loop").hexdigest().encode("ascii")
