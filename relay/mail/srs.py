"""The Sender Rewriting Scheme: a forwarder's own reverse-path that still knows the original one. Pure.

    SRS0=<hash>=<day>=<domain>=<local>@<ours>         what a forwarder makes of local@domain
    SRS1=<hash>=<forwarder>=<opaque>@<ours>           what the next one makes of SRS0<opaque>@forwarder

The form is that of "The Sender Rewriting Scheme" (M. Weimer, libsrs2): the hash keeps strangers from having mail sent
anywhere by us, the day (modulo 1024, in two letters of base32) ends an address after MAX_AGE days. The hash is eight
letters of base32 over a keyed BLAKE2b (RFC 7693), 40 bits, because case may be lost on the way.
"""

import base64
import re
from collections.abc import Sequence
from hashlib import blake2b
from hmac import compare_digest

from relay.mail.address import is_address

MAX_AGE = 21
"""Days a bounce may take to come back."""


DAY = 86400.0
"""Seconds."""


_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


_DAYS = len(_DIGITS) ** 2


_HASH = 5
"""Octets."""


_SRS0 = re.compile(r"SRS0=([^=]+)=((?P<day>[A-Z2-7]{2})=(?P<domain>[^=]+)=(?P<local>.+))", re.IGNORECASE | re.DOTALL)


_SRS1 = re.compile(r"SRS1[=+-]([^=]+)=((?P<domain>[^=]+)=(?P<opaque>[=+-].+))", re.IGNORECASE | re.DOTALL)


_FOREIGN = re.compile(r"SRS0(?P<opaque>[=+-].+)", re.IGNORECASE | re.DOTALL)


def srs_encode(key: bytes, reverse_path: str, domain: str, now: float) -> str:
    """Return the reverse-path at our `domain` for mail that is forwarded at `now` (Unix seconds).

    The null reverse-path stays null. What does not fit into a local part (64 octets, RFC 5321 section 4.5.3.1.1; no
    quotes, no address literal) becomes null: a bounce that nobody gets is better than mail that is refused for its
    reverse-path.
    """
    if not reverse_path:
        return ""
    local, _, host = reverse_path.rpartition("@")
    if passed_on := _SRS1.fullmatch(local):
        version, protected = "SRS1", passed_on[2]
    elif foreign := _FOREIGN.fullmatch(local):
        version, protected = "SRS1", f"{host}={foreign['opaque']}"
    else:
        version, protected = "SRS0", f"{_day(now)}={host}={local}"
    rewritten = f"{version}={_hash(key, protected)}={protected}@{domain}"
    return rewritten if is_address(rewritten) else ""


def srs_decode(keys: Sequence[bytes], address: str, now: float) -> str | None:
    """Return the reverse-path behind an address that `forwarded` made with one of the keys; None for any other.

    None too when it was made more than MAX_AGE days ago.
    """
    local = address.rpartition("@")[0]
    if match := _SRS0.fullmatch(local):
        back = f"{match['local']}@{match['domain']}"
        fresh = (int(now // DAY) - _number(match["day"])) % _DAYS <= MAX_AGE
    elif match := _SRS1.fullmatch(local):
        back, fresh = f"SRS0{match['opaque']}@{match['domain']}", True
    else:
        return None
    claimed = match[1].upper().encode("utf-8", "surrogateescape")
    authentic = [compare_digest(_hash(key, match[2]).encode("ascii"), claimed) for key in keys]
    return back if fresh and any(authentic) and is_address(back) else None


def _hash(key: bytes, protected: str) -> str:
    mac = blake2b(protected.lower().encode("utf-8", "surrogateescape"), key=key, digest_size=_HASH, person=b"relay.srs")
    return base64.b32encode(mac.digest()).decode("ascii")


def _day(now: float) -> str:
    high, low = divmod(int(now // DAY) % _DAYS, len(_DIGITS))
    return _DIGITS[high] + _DIGITS[low]


def _number(day: str) -> int:
    high, low = (_DIGITS.index(digit) for digit in day.upper())
    return high * len(_DIGITS) + low
