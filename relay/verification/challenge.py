"""Confirmation codes sent to an address: issued, tried, expired. Pure.

A code has six digits. It is valid for LIFETIME seconds, TRIES tries and one use.

Its mail also contains a link, which cannot be guessed and is valid for longer. A new code replaces the previous one.
"""

from dataclasses import dataclass, replace
from hashlib import blake2b
from hmac import compare_digest

from relay.limits.quota import Quota, TooMany, spend

LIFETIME = 600.0
"""Seconds for which a code is valid."""

LINK_LIFETIME = 86400.0
"""Seconds for which the link is valid: longer, because mail may be late and a link cannot be guessed."""

TRIES = 5
"""Wrong codes after which a code is void."""

PER_HOUR = 5
"""Maximum number of codes that the operator can send for one identity in an hour."""

PAGE_PER_HOUR = 3
"""Maximum number of codes sent for one identity in an hour if the page is asked: it leaves some to the operator."""

DIGITS = 6
"""Digits of a code."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """The last code sent for an identity. Only a keyed hash of it is stored, "" after it was used.

    `sent` has the times of the last hour at which codes were sent, the current one last.
    """

    identity: str
    sent_to: str
    salt: str
    digest: str
    queue_id: str
    """Queue id of the mail that contains the code; it also identifies the link."""
    sent: tuple[float, ...]
    tries: int = 0
    confirmed_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The code or link was correct: mail to `sent_to` is read."""

    sent_to: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """Not confirmed; `why` completes a sentence that begins with "the code"."""

    why: str


Answer = Confirmed | Rejected


def code_of(number: int) -> str:
    """Format a random number as a code."""
    return f"{number % 10**DIGITS:0{DIGITS}}"


def is_code(text: str) -> bool:
    """Return whether a text has the form of a code."""
    return text.isascii() and text.isdigit() and len(text) == DIGITS


def digest_of(key: bytes, salt: str, code: str) -> str:
    """Return the BLAKE2b hash of a code, keyed by a secret of the relay (RFC 7693), in hexadecimal."""
    return blake2b(f"{salt}:{code}".encode(), key=key, digest_size=32, person=b"relay.otp").hexdigest()


def issue(before: Challenge | None, fresh: Challenge, limit: int, now: float) -> Challenge | TooMany:
    """Return the challenge that replaces the previous one, or TooMany when `limit` codes were sent within an hour."""
    sent = spend(before.sent if before else (), Quota(fresh.identity, limit), now)
    return sent if isinstance(sent, TooMany) else replace(fresh, sent=sent)


def try_code(challenge: Challenge | None, key: bytes, code: str, now: float) -> tuple[Challenge | None, Answer]:
    """Return the challenge after a try with this code, and the result."""
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


def withdraw(challenge: Challenge | None) -> Challenge | None:
    """Return the challenge with its code and link void."""
    return replace(challenge, digest="", queue_id="", confirmed_at=0.0) if challenge else None


def follow_link(challenge: Challenge | None, queue_id: str, now: float) -> tuple[Challenge | None, Answer]:
    """Return the challenge after its link was confirmed. Confirming again changes nothing."""
    if challenge is None or challenge.queue_id != queue_id:
        return challenge, Rejected("belongs to a mail that a later one replaced")
    if challenge.confirmed_at:
        return challenge, Confirmed(challenge.sent_to)
    if now > challenge.sent[-1] + LINK_LIFETIME:
        return challenge, Rejected(f"is older than {LINK_LIFETIME / 3600:.0f} hours")
    return replace(challenge, digest="", confirmed_at=now), Confirmed(challenge.sent_to)
