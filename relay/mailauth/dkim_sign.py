"""Signs messages with DKIM (RFC 6376): selection of header fields, relaxed canonicalisation, DKIM-Signature fields."""

import base64
import hashlib
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from relay.mail.headers import body_start, fields
from relay.mail.native import IS_COMPILED, native
from relay.mailauth.dkim_keys import SigningKey

SEALED = ("From", "Reply-To", "Subject", "To", "Cc")
"""Signed once more than they occur, also when absent: an added field breaks the signature."""

SEALED_WHEN_PRESENT = (
    "Sender",
    "Date",
    "Message-ID",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "Content-ID",
    "Content-Description",
    "In-Reply-To",
    "References",
    "Auto-Submitted",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
)
"""Signed once more than they occur, if present: they may be added when missing, but not doubled."""

SIGNED = (
    "List-Id",
    "List-Help",
    "List-Subscribe",
    "List-Post",
    "List-Owner",
    "List-Archive",
    "Feedback-ID",
    "CFBL-Address",
    "CFBL-Feedback-ID",
    "BIMI-Selector",
    "Resent-Date",
    "Resent-From",
    "Resent-Sender",
    "Resent-To",
    "Resent-Cc",
    "Resent-Message-ID",
)
"""Signed as often as they occur; others may be added above them."""

_ORDER = tuple((name, name.lower().encode()) for name in (*SEALED, *SEALED_WHEN_PRESENT, *SIGNED))

_ALWAYS_SEALED = frozenset(SEALED)

_SEALED = _ALWAYS_SEALED | frozenset(SEALED_WHEN_PRESENT)

_LINE = 72

MAX_KEPT = 4096
"""Octets of a header for which the selection of its fields is kept, at most."""

_PIECE = 256 * 1024
"""Octets of a body that are canonicalised at a time."""

_TEXT_LINES = re.compile(rb".*[^ \t\r\n]\r\n", re.DOTALL)

_RUN = re.compile(rb"  +")  # `re` looks for its first two spaces as a literal; " {2,}" is four times slower


def sign(content: bytes, keys: Sequence[SigningKey], now: int) -> bytes:
    r"""Return one DKIM-Signature field a key, in the order of the keys, to be put in front of `content`.

    `content` is a complete message with CRLF line ends, `now` is in seconds since 1970 and becomes `t=`. The fields are
    folded and end in CRLF; canonical forms are relaxed/relaxed. The result is b"" without keys, and for a message
    without From, because a signature must cover From (RFC 6376 section 5.4).

    Every instance of these fields is signed, from the bottom up (section 5.4.2):

    - `SEALED`: fields shown to the reader, or used for answers. One more instance is signed than exists (section 8.15),
      even when absent. So the message cannot be replayed with another From, Subject or recipient above the signed ones.
    - `SEALED_WHEN_PRESENT`: a second one would change how the signed body is shown (Content-Type), or what the mailbox
      provider does (List-Unsubscribe, RFC 8058). When absent, they may be added: Date, Message-ID and MIME fields by
      the next server, List-Unsubscribe by a mailing list.
    - `SIGNED`: the other List- fields and the Resent- fields, which a forwarder adds above the older ones. Also fields
      that have effect only when signed: Feedback-ID, BIMI-Selector and those of RFC 9477.

    Trace fields (Received, Return-Path), signatures and ARC sets change in transit and are never signed. There is no
    `l=`, which would allow text to be appended to the body. There is no `i=`, whose default is the domain, and no `x=`,
    because mail that waited in a queue is still authentic.
    """
    if not keys:
        return b""

    found = fields(content)
    names = tuple([field.name for field in found])
    if b"from" not in names:
        return b""

    is_short = found[-1].end <= MAX_KEPT
    listed, places = _kept_selection(names) if is_short else _selection(names)
    signed = [relaxed_header(names[at], content[found[at].value_start : found[at].end]) for at in places]
    digest = hashlib.sha256(b"".join(signed))
    bh = base64.b64encode(body_hash(content, body_start(content))).decode()

    return b"".join([_field(key, _unsigned(key, now, listed, bh), digest.copy()) for key in keys])


def _field(key: SigningKey, unsigned: bytes, over: "hashlib._Hash") -> bytes:
    """Return the field with the signature of a key, over the signed fields in the digest and this one."""
    over.update(relaxed_header(b"dkim-signature", unsigned)[:-2])
    signature = base64.b64encode(key.sign(over.digest()))
    return b"DKIM-Signature:" + unsigned + _folded(signature) + b"\r\n"


def _selection(names: tuple[bytes, ...]) -> tuple[str, tuple[int, ...]]:
    """Return the value of `h=` for a header with these fields, and the places of those that it stands for, in order."""
    listed: list[str] = []
    signed: list[int] = []
    found: dict[bytes, list[int]] = {}
    for place, key in enumerate(names):
        found.setdefault(key, []).append(place)
    for name, key in _ORDER:
        places = found.get(key, [])
        is_sealed = name in _ALWAYS_SEALED or (name in _SEALED and places)
        signed += reversed(places)
        listed += [name] * (len(places) + bool(is_sealed))
    return _listed(listed), tuple(signed)


_kept_selection = lru_cache(maxsize=64)(_selection)
"""The messages of an application have the same fields."""


def _unsigned(key: SigningKey, now: int, listed: str, bh: str) -> bytes:
    """Return the value of the field, folded, up to and with an empty `b=` (RFC 6376 section 3.5)."""
    return (
        f" v=1; a={key.algorithm}; c=relaxed/relaxed; t={now};\r\n"
        f"\td={key.domain}; s={key.selector};\r\n"
        f"\th={listed};\r\n"
        f"\tbh={bh};\r\n"
        f"\tb="
    ).encode()


def _listed(names: Sequence[str]) -> str:
    """Join the names with colons, folded after a colon where a line would grow too long."""
    lines: list[str] = []
    line = names[0]
    for name in names[1:]:
        if len(line) + len(name) > _LINE:
            lines.append(line)
            line = name
        else:
            line = f"{line}:{name}"
    return ":\r\n\t".join([*lines, line])


def _folded(signature: bytes) -> bytes:
    return b"\r\n\t".join([signature[at : at + _LINE] for at in range(0, len(signature), _LINE)])


def relaxed_header(name: bytes, value: bytes) -> bytes:
    """Return a header field in relaxed form with its CRLF (RFC 6376 section 3.4.2).

    `value` is the text after the colon, with or without folds and line end.
    """
    return native.relaxed_header(name, value) if IS_COMPILED else relaxed_header_twin(name, value)


def relaxed_header_twin(name: bytes, value: bytes) -> bytes:
    """Return a header field in relaxed form: what the compiled function returns."""
    return name.lower() + b":" + _single_spaced(value.replace(b"\r\n", b"")).strip(b" ") + b"\r\n"


def relaxed_body(body: bytes) -> bytes:
    """Return a body in relaxed form (RFC 6376 section 3.4.4), b"" if it contains only blank lines.

    A last line without CRLF is treated as if it had one, because SMTP adds it; blanks at its end are removed too.
    """
    text = _single_spaced(body)
    if text.endswith(b" "):
        text = text[:-1]
    text = text.replace(b" \r\n", b"\r\n")
    kept = _without_last_line_ends(text)
    return kept + b"\r\n" if kept else b""


def body_hash(content: bytes, start: int = 0) -> bytes:
    """Return the SHA-256 digest of the relaxed body that begins at `start`: the `bh=` of RFC 6376 section 3.7."""
    if IS_COMPILED and native.is_relaxed_body(content, start):
        return hashlib.sha256(memoryview(content)[start:]).digest()
    made = hashlib.sha256()
    for piece in relaxed_body_pieces(content, start):
        made.update(piece)
    return made.digest()


def relaxed_body_pieces(content: bytes, start: int) -> Iterator[bytes]:
    """Yield the relaxed body that begins at `start` in pieces, which are small unless all lines end in blanks."""
    at = start
    for end in _cuts(content, start):
        yield _relaxed_from(content[at:end], 0)
        at = end
    yield _relaxed_from(content, at)


def _relaxed_from(content: bytes, start: int) -> bytes:
    return native.relaxed_body(content, start) if IS_COMPILED else relaxed_body(content[start:])


def _cuts(content: bytes, start: int) -> Iterator[int]:
    """Yield where a large body is cut: behind lines that are not blank.

    The relaxed forms of such pieces make up that of the whole, which is never in memory.
    """
    at = start
    for end in range(start + _PIECE, len(content), _PIECE):
        cut = _end_of_text(content, max(at, end - _PIECE), end)
        if cut:
            yield cut
            at = cut


def _end_of_text(content: bytes, start: int, end: int) -> int:
    """Return where the last line between these offsets ends that has no blank before its end, 0 without one."""
    found = _TEXT_LINES.match(content, start, end)
    return found.end() if found else 0


def _single_spaced(text: bytes) -> bytes:
    """Replace every run of spaces and tabs by one space."""
    spaced = text.replace(b"\t", b" ")
    return _RUN.sub(b" ", spaced) if b"  " in spaced else spaced


def _without_last_line_ends(text: bytes) -> bytes:
    """Strip complete CRLFs from the end.

    `rstrip` alone would also remove a bare CR or LF. Removed pairs are counted as one character each, so that a body of
    blank lines takes linear time too.
    """
    kept = text.rstrip(b"\r\n")
    lone = text[len(kept) :].replace(b"\r\n", b"\0").rstrip(b"\0")
    return kept + lone.replace(b"\0", b"\r\n")
