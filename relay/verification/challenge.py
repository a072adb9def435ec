"""Codes sent to an address to learn whether somebody reads there: made, answered, worn out. Pure.

A code has six digits and is good for LIFETIME, for TRIES tries and for one use; the mail that carries it also has a
link, which nobody can guess and which is good for longer. A new code takes the place of the one before.
"""

from dataclasses import dataclass, replace
from hashlib import blake2b
from hmac import compare_digest

LIFETIME = 600.0
"""Seconds a code is good for."""


LINK_LIFETIME = 86400.0
"""Seconds the link is good for: mail may be late, and a link cannot be guessed."""


TRIES = 5


PER_HOUR = 5
"""Codes sent for one identity in any hour."""


DIGITS = 6


_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Challenge:
    """The code last sent for an identity. Of the code only a keyed hash is kept, "" once it was used.

    `sent` has the times of the last hour at which codes were sent, the present one last.
    """

    identity: str
    sent_to: str
    salt: str
    digest: str
    queue_id: str
    """Of the mail that carries the code; its link is known by it."""
    sent: tuple[float, ...]
    tries: int = 0
    confirmed_at: float = 0.0


@dataclass(frozen=True, slots=True)
class TooMany:
    """No more codes now; again at that time."""

    again_at: float


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The right code or link: somebody reads at `sent_to`."""

    sent_to: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """Not confirmed, and why, as the end of a sentence about the code."""

    why: str


Answer = Confirmed | Rejected


def code_of(number: int) -> str:
    """Return the code of a random number."""
    return f"{number % 10**DIGITS:0{DIGITS}}"


def digest_of(key: bytes, salt: str, code: str) -> str:
    """Return what is kept of a code: a BLAKE2b hash keyed by a secret of the relay (RFC 7693), in hexadecimal."""
    return blake2b(f"{salt}:{code}".encode(), key=key, digest_size=32, person=b"relay.otp").hexdigest()


def issue(before: Challenge | None, fresh: Challenge, now: float) -> Challenge | TooMany:
    """Return the challenge that takes the place of the one before, unless too many were sent within the hour."""
    earlier = tuple(at for at in (before.sent if before else ()) if now - _HOUR < at <= now)
    if len(earlier) >= PER_HOUR:
        return TooMany(earlier[-PER_HOUR] + _HOUR)
    return replace(fresh, sent=(*earlier, now))


def try_code(challenge: Challenge | None, key: bytes, code: str, now: float) -> tuple[Challenge | None, Answer]:
    """Return the challenge after a try with this code, and whether it was the right one."""
    if challenge is None:
        return None, Rejected("was never sent")
    if not challenge.digest:
        return challenge, Rejected("was used already")
    if now > challenge.sent[-1] + LIFETIME:
        return challenge, Rejected(f"is older than {LIFETIME / 60:.0f} minutes")
    if challenge.tries >= TRIES:
        return challenge, Rejected(f"is void after {TRIES} wrong tries")
    if compare_digest(challenge.digest, digest_of(key, challenge.salt, code)):
        return replace(challenge, digest="", confirmed_at=now), Confirmed(challenge.sent_to)
    left = TRIES - challenge.tries - 1
    why = f"is another one; {left} more {'try' if left == 1 else 'tries'}" if left else "is another one, and now void"
    return replace(challenge, tries=challenge.tries + 1), Rejected(why)


def follow_link(challenge: Challenge | None, queue_id: str, now: float) -> tuple[Challenge | None, Answer]:
    """Return the challenge after its link was confirmed; once confirmed, doing so again changes nothing."""
    if challenge is None or challenge.queue_id != queue_id:
        return challenge, Rejected("belongs to a mail that a later one replaced")
    if challenge.confirmed_at:
        return challenge, Confirmed(challenge.sent_to)
    if now > challenge.sent[-1] + LINK_LIFETIME:
        return challenge, Rejected(f"is older than {LINK_LIFETIME / 3600:.0f} hours")
    return replace(challenge, digest="", confirmed_at=now), Confirmed(challenge.sent_to)
