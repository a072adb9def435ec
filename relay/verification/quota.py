"""Quotas: how often a client or an address may ask for codes and try them within an hour. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

HOUR = 3600.0
"""Seconds of the window of all quotas."""


@dataclass(frozen=True, slots=True)
class Quota:
    """At most `limit` requests of a subject in an hour. `subject` is a keyed hash: stores keep no client address."""

    subject: str
    limit: int


@dataclass(frozen=True, slots=True)
class TooMany:
    """The quota is used up until `again_at` (Unix seconds)."""

    again_at: float


def subject_of(key: bytes, purpose: str, name: str) -> str:
    """Return the subject of a client or address: a BLAKE2b hash keyed by a secret of the relay (RFC 7693)."""
    text = f"{purpose}:{name}".encode("utf-8", "replace")
    return blake2b(text, key=key, digest_size=16, person=b"relay.quota").hexdigest()


def spend(times: Sequence[float], limit: int, now: float) -> tuple[float, ...] | TooMany:
    """Return the times of the last hour with `now` added, or TooMany if they have reached the limit."""
    recent = tuple(at for at in times if now - HOUR < at <= now)
    if len(recent) >= limit:
        return TooMany(recent[-limit] + HOUR)
    return (*recent, now)
