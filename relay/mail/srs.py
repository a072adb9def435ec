"""Sender Rewriting Scheme: a forwarder's reverse-path that encodes the original one. Pure.

    SRS0=<hash>=<day>=<domain>=<local>@<ours>         a forwarder's address for local@domain
    SRS1=<hash><day>=<forwarder>=<opaque>@<ours>      the next forwarder's address for SRS0<opaque>@forwarder

The form is that of "The Sender Rewriting Scheme" (M. Weimer, libsrs2). The hash prevents others from sending mail
through this relay to any address. The hash is eight letters of base32 over a keyed BLAKE2b (RFC 7693), 40 bits, because
case may be lost. The day (modulo 1024, in two letters of base32) expires an address after MAX_AGE days.

In SRS1 our day is part of the field of the hash, which other forwarders replace and do not parse. The day in the opaque
part is that of the first forwarder.
"""

import base64
import re
from collections.abc import Sequence
from hashlib import blake2b
from hmac import compare_digest

from relay.mail.address import is_address

MAX_AGE = 21
"""Days in which a bounce is accepted."""

DAY = 86400.0
"""Seconds."""

UNDATED_UNTIL = 1_801_440_000.0
"""Unix time until which SRS1 addresses without a day are accepted: 2027-02-01. Former versions made them."""

_HASH_LETTERS = 8
"""Letters of a hash."""

_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

_DAYS = len(_DIGITS) ** 2

_HASH = 5
"""Octets."""

_SRS0 = re.compile(r"SRS0=([^=]+)=((?P<day>[A-Z2-7]{2})=(?P<domain>[^=]+)=(?P<local>.+))", re.IGNORECASE | re.DOTALL)

_SRS1 = re.compile(r"SRS1[=+-]([^=]+)=((?P<domain>[^=]+)=(?P<opaque>[=+-].+))", re.IGNORECASE | re.DOTALL)

_FOREIGN_SRS0 = re.compile(r"SRS0(?P<opaque>[=+-].+)", re.IGNORECASE | re.DOTALL)


def srs_encode(key: bytes, reverse_path: str, domain: str, now: float) -> str:
    """Return the reverse-path at our `domain` for mail forwarded at `now` (Unix seconds).

    The null reverse-path remains null. A path that does not fit into a local part (64 octets, RFC 5321 section
    4.5.3.1.1; no quotes, no address literal) becomes null. Else mail with a long reverse-path would be refused.
    """
    if not reverse_path:
        return ""
    local, _, host = reverse_path.rpartition("@")
    day = _day(now)
    if srs1 := _SRS1.fullmatch(local):
        rewritten = f"SRS1={_hash(key, f'{day}={srs1[2]}')}{day}={srs1[2]}@{domain}"
    elif srs0 := _FOREIGN_SRS0.fullmatch(local):
        protected = f"{host}={srs0['opaque']}"
        rewritten = f"SRS1={_hash(key, f'{day}={protected}')}{day}={protected}@{domain}"
    else:
        protected = f"{day}={host}={local}"
        rewritten = f"SRS0={_hash(key, protected)}={protected}@{domain}"
    return rewritten if is_address(rewritten) else ""


def srs_decode(keys: Sequence[bytes], address: str, now: float) -> str | None:
    """Return the original reverse-path of an address that `srs_encode` made with one of the keys; else None.

    None also if it is older than MAX_AGE days.
    """
    local = address.rpartition("@")[0]
    if match := _SRS0.fullmatch(local):
        original, claimed, protected = f"{match['local']}@{match['domain']}", match[1].upper(), match[2]
        fresh = _is_fresh(match["day"], now)
    elif match := _SRS1.fullmatch(local):
        original, claimed, protected = f"SRS0{match['opaque']}@{match['domain']}", match[1].upper(), match[2]
        fresh = now < UNDATED_UNTIL
        if len(claimed) > _HASH_LETTERS:
            claimed, day = claimed[:_HASH_LETTERS], claimed[_HASH_LETTERS:]
            fresh, protected = _is_fresh(day, now), f"{day}={protected}"
    else:
        return None
    octets = claimed.encode("utf-8", "surrogateescape")
    authentic = [compare_digest(_hash(key, protected).encode("ascii"), octets) for key in keys]
    return original if fresh and any(authentic) and is_address(original) else None


def _is_fresh(day: str, now: float) -> bool:
    """Whether an address of that day is at most MAX_AGE days old; False for text that is no day."""
    is_day = len(day) == 2 and all(digit in _DIGITS for digit in day.upper())
    return is_day and (int(now // DAY) - _number(day)) % _DAYS <= MAX_AGE


def _hash(key: bytes, protected: str) -> str:
    mac = blake2b(protected.lower().encode("utf-8", "surrogateescape"), key=key, digest_size=_HASH, person=b"relay.srs")
    return base64.b32encode(mac.digest()).decode("ascii")


def _day(now: float) -> str:
    high, low = divmod(int(now // DAY) % _DAYS, len(_DIGITS))
    return _DIGITS[high] + _DIGITS[low]


def _number(day: str) -> int:
    high, low = (_DIGITS.index(digit) for digit in day.upper())
    return high * len(_DIGITS) + low
