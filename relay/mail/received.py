"""Received fields, the Date format, and loop fields of forwarded mail."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from hashlib import blake2b

from relay.mail.canonical_address import canonical
from relay.mail.headers import Field, named
from relay.mail.queue_id import is_queue_id
from relay.mail.transaction import Envelope, Session

NAME = b"Relay-Loop"
"""Name of the loop field. Its value is a digest, so that it discloses no address."""

_DIGEST = 12

_BY_RELAY = re.compile(rb"\bby ([^\s()]{1,255}) \(relay\) with ")
"""Matches a Received field of `received`."""

_TRACE = re.compile(r"\bby ([^\s()]{1,255}) \(relay\) with \w{1,20} id (\w{1,40})")
"""Matches it in the header of a returned message, with its host and queue id."""


def received(queue_id: str, session: Session, envelope: Envelope, hostname: str, now: float) -> str:
    """Return the Received field. It names a sole recipient only, so that recipients stay hidden from each other."""
    literal = f"IPv6:{session.client}" if ":" in session.client else session.client
    recipient = f"\r\n\tfor <{envelope.recipients[0].address}>" if len(envelope.recipients) == 1 else ""
    return (
        f"Received: from {session.helo or 'unknown'} ([{literal}])\r\n"
        f"\tby {hostname} (relay) with {_with(session, envelope)} id {queue_id}{recipient};\r\n\t{mail_date(now)}"
    )


def helo_in(added_fields: bytes) -> str:
    """Return the HELO name in a Received field of this host that stands first, "" for other fields."""
    begin = b"Received: from "
    if not added_fields.startswith(begin):
        return ""
    return added_fields[len(begin) :].partition(b" ")[0].decode("utf-8", "replace")


def _with(session: Session, envelope: Envelope) -> str:
    """Return the protocol keyword (RFC 3848, RFC 6531 section 4.3); HTTP has none, and mail services write its name."""
    if session.protocol == "HTTP":
        return "HTTP"
    suffix = ("S" if session.tls else "") + ("A" if session.credential else "")
    if envelope.smtputf8:
        return f"UTF8SMTP{suffix}"
    return f"ESMTP{suffix}" if session.extended else "SMTP"


def mail_date(at: float) -> str:
    """Format Unix seconds as "Wed, 25 Nov 2026 17:20:09 +0000"."""
    return _mail_date(int(at))


@lru_cache(maxsize=4)
def _mail_date(second: int) -> str:
    return format_datetime(datetime.fromtimestamp(second, UTC))


def loop_field(hostname: str, address: str = "") -> bytes:
    """Return the loop field of mail that this host forwards to that address, with its line end.

    Without an address, it marks any mail forwarded by this host.
    """
    return NAME + b": " + _digest(hostname, address) + b"\r\n"


def has_loop_field(content: bytes, found: Iterable[Field], hostname: str, address: str = "") -> bool:
    """Whether the loop field of this host and address is among these fields."""
    wanted = _digest(hostname, address)
    return any(one.value(content) == wanted for one in named(found, NAME.lower()))


def relay_hosts(content: bytes, found: Iterable[Field]) -> tuple[str, ...]:
    """Return the hosts, in lower case, whose relay wrote a Received field; one per field."""
    traces = (_BY_RELAY.search(one.value(content)) for one in named(found, b"received"))
    return tuple(trace[1].decode("utf-8", "replace").lower() for trace in traces if trace is not None)


def queue_id_in(trace: str, hostname: str) -> str:
    """Return the queue id that a Received field of this host names, "" for the field of another host."""
    found = _TRACE.search(trace)
    own = found is not None and found[1].lower() == hostname.lower()
    return found[2] if found is not None and own and is_queue_id(found[2]) else ""


def _digest(hostname: str, address: str) -> bytes:
    whole = f"{hostname.lower()}\0{canonical(address)}".encode("utf-8", "surrogateescape")
    return blake2b(whole, digest_size=_DIGEST, person=b"relay.loop").hexdigest().encode("ascii")
