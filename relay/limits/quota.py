"""Quotas: how often a client, an address or an author may cause something within an hour or a day. Pure.

A subject is a keyed hash: stores keep no client address, and no client can choose a subject.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

from relay.limits.window import DAY, HOUR

_BUCKET = 2
"""Octets of the subject of a name that strangers choose. Names of the same bucket share their quota."""


@dataclass(frozen=True, slots=True)
class Quota:
    """At most `limit` uses of a subject within `span` seconds: at most a day, after which uses are forgotten."""

    subject: str
    limit: int
    span: float = HOUR
    uses: int = 1
    """Uses that are counted at once, or none of them."""


@dataclass(frozen=True, slots=True)
class TooMany:
    """The quota is used up until `again_at` (Unix seconds)."""

    again_at: float


def subject_of(key: bytes, purpose: str, name: str) -> str:
    """Return the subject of a client or address: a BLAKE2b hash keyed by a secret of the relay (RFC 7693)."""
    return _hash(key, purpose, name).hex()


def bucket_of(key: bytes, purpose: str, name: str) -> str:
    """Return the subject of a name that strangers choose, one of 65,536: their number of rows is bounded."""
    return f"{purpose}:{_hash(key, purpose, name)[:_BUCKET].hex()}"


def hourly_and_daily(subject: str, hourly: int, daily: int) -> tuple[Quota, ...]:
    """Return the quotas of an hour and of a day; 0 is no limit."""
    both = (Quota(f"{subject}/h", hourly, HOUR), Quota(f"{subject}/d", daily, DAY))
    return tuple(one for one in both if one.limit > 0)


def spend(times: Sequence[float], quota: Quota, now: float) -> tuple[float, ...] | TooMany:
    """Return the times within the span with `now` added for each use, or TooMany if they would exceed the limit."""
    recent = tuple(at for at in times if now - quota.span < at <= now)
    excess = len(recent) + quota.uses - quota.limit
    if excess > 0:
        return TooMany((recent[excess - 1] if excess <= len(recent) else now) + quota.span)
    return (*recent, *(now for _ in range(quota.uses)))


def merge_quotas(quotas: Iterable[Quota]) -> tuple[Quota, ...]:
    """Return one quota for each subject, with the uses of all that have it."""
    uses: Counter[Quota] = Counter()
    for one in quotas:
        uses[replace(one, uses=1)] += one.uses
    return tuple(replace(one, uses=count) for one, count in uses.items())


def _hash(key: bytes, purpose: str, name: str) -> bytes:
    text = f"{purpose}:{name}".encode("utf-8", "replace")
    return blake2b(text, key=key, digest_size=16, person=b"relay.quota").digest()
