"""Verifies DKIM signatures (RFC 6376 section 6): dkimpy those of the header, relay the hash of the body.

Strangers choose message, signature and key. So a thread verifies, and the sizes of all three are bounded.
"""

import asyncio
import base64
import binascii
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, assert_never

import dkim

from relay.mail.header_lines import stray_line
from relay.mail.headers import Field, body_start, fields, named
from relay.mailauth.dkim_body_hash import BodyHashes
from relay.mailauth.dkim_record import PublishedKey, PublishedKeyError, key_name, parse_published_key, tags_of
from relay.resolver import Lookups, NoRecords, NoSuchDomain, TemporaryFailure, Texts

DkimResult = Literal["pass", "fail", "policy", "neutral", "temperror", "permerror"]
"""The results of RFC 8601 section 2.7.1; "none" is the absence of signatures."""

MIN_BITS, MAX_BITS = 1024, 8192
"""Bits of an RSA key. The time of a longer one is that of its owner's choice."""

MAX_EXPONENT = 1 << 64
"""Public exponents are below it, as of OpenSSL: with one as long as the key a single signature takes minutes."""

_MAX_SIGNATURES = 10

_MAX_FIELD = 4096
"""Octets of a DKIM-Signature field, at most. dkimpy takes time quadratic in it."""

_BASE64 = re.compile(r"[A-Za-z0-9+/]++={0,2}")


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


_TOO_LONG: tuple[DkimResult, str] = ("neutral", f"the field has more than the {_MAX_FIELD} octets that are read")


async def verify_signatures(dns: Lookups, message: bytes) -> tuple[Signature, ...]:
    """Verify the first ten signatures of a message with CRLF line ends, from the top."""
    found = fields(message)
    given = list(named(found, b"dkim-signature"))[:_MAX_SIGNATURES]
    if not given:
        return ()
    verifier = _Verifier(message, found)
    signatures = []
    for index, one in enumerate(given):
        is_read = one.end - one.start <= _MAX_FIELD
        tags = tags_of(one.value(message).decode("utf-8", "replace")) if is_read else {}
        domain, selector = tags.get("d", "").lower(), tags.get("s", "")
        key = await _key(dns, domain, selector) if is_read else _TOO_LONG
        result, why = await asyncio.to_thread(verifier.verify, index, tags, key) if isinstance(key, str) else key
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
    return _fault(key, name) or record


def _fault(key: PublishedKey, name: str) -> tuple[DkimResult, str] | None:
    """Return the result of a signature by a key that is too short, or too long to be tried; None for others."""
    if key.kind != "rsa":
        return None
    if key.bits < MIN_BITS:
        return "policy", f"the key at {name} has {key.bits} bits, and less than {MIN_BITS} prove nothing"
    if key.bits > MAX_BITS or key.exponent >= MAX_EXPONENT:
        return "policy", f"the key at {name} is longer than the {MAX_BITS} bits that are tried, or its exponent is"
    return None


class _Verifier:
    """Verifies the signatures of one message."""

    def __init__(self, message: bytes, found: Sequence[Field]) -> None:
        self._is_whole = stray_line(message, found) is None
        self._bodies = BodyHashes(message, body_start(message))
        # By the fields that relay reads, so that no field is signed in one reading and not in the other.
        self._headers = [
            (message[one.start : one.value_start - 1].rstrip(b" \t"), message[one.value_start : one.end])
            for one in found
        ]

    def verify(self, index: int, tags: Mapping[str, str], record: str) -> tuple[DkimResult, str]:
        """Return the result of a signature, and why. `tags` are its own, `record` is that of its key."""
        if not self._is_whole:
            return "permerror", "the header has a line that is no field"
        if tags.get("a", "").endswith("-sha1"):
            return "policy", "a signature over SHA-1 proves nothing (RFC 8301 section 3.1)"
        if not _BASE64.fullmatch("".join(tags.get("b", "").split())):
            return "permerror", "the signature cannot count: its b= is no base64"
        try:
            return self._verify(index, record)
        except dkim.NaClNotFoundError:
            return "neutral", "Ed25519 signatures can be verified only where PyNaCl is installed"
        except dkim.ValidationError as error:
            return "permerror", f"the signature cannot count: {error}"
        except (dkim.DKIMException, binascii.Error, ValueError, KeyError) as error:
            return "permerror", f"the signature is malformed: {error}"

    def _verify(self, index: int, record: str) -> tuple[DkimResult, str]:
        """Raises what dkimpy raises."""
        verifier = dkim.DKIM(logger=_silent(), minkey=MIN_BITS)  # type: ignore[no-untyped-call]
        verifier.headers = self._headers
        sig, names, given = verifier.verify_headerprep(index)  # type: ignore[no-untyped-call]

        form = sig.get(b"c", b"").partition(b"/")[2] or b"simple"
        length = int(sig[b"l"]) if b"l" in sig else None
        # Without bh= dkimpy verifies the header alone, which has it.
        body = self._bodies.sha256(form, length)
        if body is None:
            return (
                "permerror",
                f"the signature cannot count: there is no canonical form {form.decode('ascii', 'replace')}",
            )
        if body != base64.b64decode(b"".join(sig.pop(b"bh").split())):
            return "fail", "the body is not the one that was signed"
        lookup: Callable[..., bytes] = lambda _name, timeout=5: record.encode()  # noqa: ARG005, E731 - its signature
        if verifier.verify_sig(sig, names, given[index], lookup):  # type: ignore[no-untyped-call]
            return "pass", "the signature holds"
        return "fail", "the signed header fields are not those that were signed, or another key signed them"


def _silent() -> logging.Logger:
    return logging.Logger("dkim", logging.CRITICAL + 1)
