"""Verifies DKIM signatures with dkimpy (RFC 6376 section 6); keys are looked up before."""

import binascii
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, assert_never

import dkim

from relay.mail.headers import body_start, fields, named
from relay.mailauth.dkim_record import PublishedKeyError, key_name, parse_published_key, tags_of
from relay.resolver import Lookups, NoRecords, NoSuchDomain, TemporaryFailure, Texts

DkimResult = Literal["pass", "fail", "policy", "neutral", "temperror", "permerror"]
"""The results of RFC 8601 section 2.7.1; "none" is the absence of signatures."""

MIN_BITS = 1024

_MAX_SIGNATURES = 10

_BLANKS = re.compile(rb"[ \t]{100,}")

_MAX_BLANK_COST = 200_000_000
"""Limit of the sum of squared lengths of runs of blanks. dkimpy takes quadratic time; this is about half a second."""


@dataclass(frozen=True, slots=True)
class Signature:
    """Result of one signature, with domain, selector, and the reason as a sentence."""

    result: DkimResult
    domain: str
    selector: str
    why: str
    covered: frozenset[str] = frozenset()
    """Names of the signed header fields, in lower case."""
    is_partial: bool = False
    """Whether it covers a part of the body only (`l=`): anything can be appended."""

    def covers(self, message: bytes, names: Sequence[bytes]) -> bool:
        """Whether it covers the whole body, and every field of these lower-case names, of which there is one at most.

        A field that is not signed can be changed, and one can be put before a signed one.
        """
        found = fields(message)
        given = {name: sum(1 for _ in named(found, name)) for name in names}
        return not self.is_partial and all(
            count == 0 or (count == 1 and name.decode() in self.covered) for name, count in given.items()
        )


async def verify_signatures(dns: Lookups, message: bytes) -> tuple[Signature, ...]:
    """Verify the first ten signatures of a message with CRLF line ends, from the top."""
    found = list(named(fields(message), b"dkim-signature"))[:_MAX_SIGNATURES]
    signatures = []
    for index, field in enumerate(found):
        tags = tags_of(field.value(message).decode("utf-8", "replace"))
        domain, selector = tags.get("d", "").lower(), tags.get("s", "")
        key = await _key(dns, domain, selector)
        result, why = _verify(message, index, key) if isinstance(key, str) else key
        covered = frozenset(name.strip().lower() for name in tags.get("h", "").split(":"))
        signatures.append(Signature(result, domain, selector, why, covered, "l" in tags))
    return tuple(signatures)


async def _key(dns: Lookups, domain: str, selector: str) -> str | tuple[DkimResult, str]:
    """Return the record of a key, or the result of a signature without a usable key."""
    if not domain or not selector:
        return "permerror", "the signature lacks its domain (d=) or selector (s=)"

    name = key_name(selector, domain)
    match await dns.txt(name):
        case TemporaryFailure(text):
            return "temperror", f"the key cannot be looked up now: {text}"
        case Texts(texts):
            record = texts[0]
        case NoSuchDomain() | NoRecords():
            return "permerror", f"there is no key at {name}"
        case never:
            assert_never(never)

    try:
        key = parse_published_key(record)
    except PublishedKeyError as error:
        return "permerror", f"the record of {name} {error}"

    if key.revoked:
        return "permerror", f"the key at {name} has been revoked"
    if key.kind == "rsa" and key.bits < MIN_BITS:
        return "policy", f"the key at {name} has {key.bits} bits, and less than {MIN_BITS} prove nothing"

    return record


def _verify(message: bytes, index: int, record: str) -> tuple[DkimResult, str]:
    if sum((end - start) ** 2 for start, end in _runs(message)) > _MAX_BLANK_COST:
        return "neutral", "the body has such long runs of blanks that verifying takes too long"

    lookup: Callable[..., bytes] = lambda _name, timeout=5: record.encode()  # noqa: ARG005, E731 - dkimpy's signature
    try:
        verifier = dkim.DKIM(message, logger=_silent(), minkey=MIN_BITS)  # type: ignore[no-untyped-call]
        good = verifier.verify(index, dnsfunc=lookup)  # type: ignore[no-untyped-call]
    except dkim.NaClNotFoundError:
        return "neutral", "Ed25519 signatures can be verified only where PyNaCl is installed"
    except dkim.ValidationError as error:
        if "body hash" in str(error):
            return "fail", "the body is not the one that was signed"
        return "permerror", f"the signature cannot count: {error}"
    except (dkim.DKIMException, binascii.Error, ValueError, KeyError) as error:
        return "permerror", f"the signature is malformed: {error}"

    if good:
        return "pass", "the signature holds"

    return "fail", "the signed header fields are not those that were signed, or another key signed them"


def _runs(message: bytes) -> list[tuple[int, int]]:
    return [match.span() for match in _BLANKS.finditer(message, body_start(message))]


def _silent() -> logging.Logger:
    return logging.Logger("dkim", logging.CRITICAL + 1)
