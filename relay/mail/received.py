"""Received field, date, loop marks."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import format_datetime
from hashlib import blake2b

from relay.mail.canonical import canonical
from relay.mail.headers import Field, named
from relay.mail.transaction import Envelope, Session

NAME = b"Relay-Loop"
"""Name of the field. Its value names nobody: it is a digest of host and address."""


_DIGEST = 12


_BY_RELAY = re.compile(rb"\bby ([^\s()]{1,255}) \(relay\) with ")
"""As `relay.mail.trace.received` writes it."""


def loop_field(hostname: str, address: str = "") -> bytes:
    """Return the field, with its line end, of a mail that this host passes on to that address.

    An empty address marks the mail as one that this host has passed on at all.
    """
    return NAME + b": " + _digest(hostname, address) + b"\r\n"


def has_loop_field(content: bytes, found: Iterable[Field], hostname: str, address: str = "") -> bool:
    """Tell whether `mark` of the same host and address is among these fields of the content."""
    wanted = _digest(hostname, address)
    return any(one.value(content) == wanted for one in named(found, NAME.lower()))


def relay_hosts(content: bytes, found: Iterable[Field]) -> tuple[str, ...]:
    """Return the hosts, in lower case, whose relay wrote a Received field among these; one for each field."""
    traces = (_BY_RELAY.search(one.value(content)) for one in named(found, b"received"))
    return tuple(trace[1].decode("utf-8", "replace").lower() for trace in traces if trace is not None)


def _digest(hostname: str, address: str) -> bytes:
    whole = f"{hostname.lower()}\0{canonical(address)}".encode("utf-8", "surrogateescape")
    return blake2b(whole, digest_size=_DIGEST, person=b"relay.loop").hexdigest().encode("ascii")


def mail_date(at: float) -> str:
    """Return Unix seconds as "Wed, 25 Nov 2026 17:20:09 +0000"."""
    return format_datetime(datetime.fromtimestamp(int(at), UTC))


def received(queue_id: str, session: Session, envelope: Envelope, hostname: str, now: float) -> str:
    """Return our trace field; it names the recipient only when there is one, so that none learns of another."""
    literal = f"IPv6:{session.client}" if ":" in session.client else session.client
    only = f"\r\n\tfor <{envelope.recipients[0].address}>" if len(envelope.recipients) == 1 else ""
    return (
        f"Received: from {session.helo or 'unknown'} ([{literal}])\r\n"
        f"\tby {hostname} (relay) with {_with(session, envelope)} id {queue_id}{only};\r\n\t{mail_date(now)}"
    )


def _with(session: Session, envelope: Envelope) -> str:
    """Return the protocol of the transmission (RFC 3848, RFC 6531 section 4.3)."""
    secured = ("S" if session.tls else "") + ("A" if session.credential else "")
    if envelope.smtputf8:
        return f"UTF8SMTP{secured}"
    return f"ESMTP{secured}" if session.extended else "SMTP"
