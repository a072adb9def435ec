"""Decides which parts of a message may be rewritten, with the reason for all others."""

import codecs
import re
from collections.abc import Iterable

from relay.mail.headers import named
from relay.rewrite.charsets import is_ascii_based
from relay.rewrite.mime import MAX_PARTS, Part
from relay.rewrite.mime_parameters import parse

_SIGNED = frozenset({"multipart/signed", "multipart/encrypted"})

_CRYPTOGRAPHIC = re.compile(r"application/(?:(?:x-)?pkcs7-(?:mime|signature)|pgp-(?:encrypted|signature))")

_ISO_2022_JP = re.compile(r"(?:cs)?iso-?2022-?jp(?:-?(?:[123]|2004|ext|ms))?|cp5022[0-2]|x-windows-iso2022jp")

_SHIFTED = re.compile(rb"\x1b(?:\([BJ]|[^\x1b]*+(?>\x1b(?!\([BJ])[^\x1b]*+)*+(?:\x1b\([BJ]|\Z))")
"""A run in another character set than ASCII or JIS Roman, with its shifts (RFC 1468)."""

_ISO_2022_LOCKING = re.compile(r"(?:cs)?iso-?2022-?(?:kr|cn(?:-?ext)?)")

_LOCKED = re.compile(rb"\x1b\$[)*+][A-Z]|\x1b[NO][\x21-\x7e]{2}|\x0e[^\x0e\x0f\x1b]*+\x0f")
"""A designation, a single shift, or a run between SHIFT OUT and SHIFT IN (RFC 1557, RFC 1922)."""

_SHIFTS = re.compile(rb"[\x0e\x0f\x1b]")

_SINGLE_OCTET_SHIFTS = re.compile(rb"[\x0e\x0f]")
"""Shifts to katakana of one octet each, in charsets like CP50222."""

_MULTIOCTET = re.compile(r"utf-?(?:16|32)|ucs|iso-?10646|ebcdic|(?:cp|ibm)-?\d")
"""Names of charsets in which an ASCII octet alone is no ASCII character, of which Python may have no codec."""

_MASK = b"\xff"
"""An octet that no URL, host or tag contains."""


def skip_message_reason(parts: list[Part]) -> str:
    """Return why no part of the message may be rewritten, "" when there is no reason."""
    names = {field.name for field in parts[0].fields}
    if b"dkim-signature" in names:
        return "carries a DKIM signature"
    if any(name.startswith(b"arc-") for name in names):
        return "carries an ARC seal"

    for part in parts:
        if part.content_type in _SIGNED or _CRYPTOGRAPHIC.fullmatch(part.content_type):
            return f"contains {part.content_type}"
    if parts[0].content_type == "multipart/report":
        return "is a report"
    if len(parts) > MAX_PARTS:
        return f"has more than {MAX_PARTS} parts"

    fault = next((part for part in parts if part.fault and not part.is_enclosed), None)
    if fault is not None:
        return f"is malformed: {fault.fault}{f' (part {fault.path})' if fault.path else ''}"
    return ""


def skip_part_reason(content: bytes, part: Part) -> str:
    """Return why a displayed text part may not be rewritten, "" when it may."""
    if part.is_enclosed:
        return "inside an enclosed message"
    if any(parent in ("multipart/report", "multipart/digest") for parent in part.parents):
        return f"inside {part.parents[-1]}"
    if part.disposition.value == "attachment":
        return "is an attachment"
    if part.disposition.parameters.get("filename") or part.parameters.parameters.get("name"):
        return "is a named file"
    if any(True for _ in named(part.fields, b"content-md5")):
        return "carries a Content-MD5"
    if part.parents[-1:] == ("multipart/related",) and not _is_related_root(content, part):
        return "is not the root of its multipart/related"
    return ""


def _is_related_root(content: bytes, part: Part) -> bool:
    """Whether a child of a multipart/related is displayed: the first one, or the one named by start=."""
    if part.first or not part.related_root:
        return part.first
    content_id = parse(part.value(content, b"content-id") or b"").value
    return content_id.strip("<>") == part.related_root.strip(" <>").lower()


def readable(text: bytes, charset: str) -> tuple[bytes, str]:
    """Return the text with every ASCII byte an ASCII character, and ""; or b"" and the reason. Offsets do not change.

    Two-byte characters of ISO-2022 consist of ASCII bytes. They are masked. In a charset that has no other meaning for
    ASCII bytes, also in one of an unknown name, a text of these alone is read as such.
    """
    if b"\0" in text or text.startswith((b"\xff\xfe", b"\xfe\xff")):
        return b"", "contains NUL"
    if b"-----BEGIN PGP" in text:
        return b"", "contains inline PGP"
    if is_ascii_based(charset):
        return text, ""
    if _ISO_2022_JP.fullmatch(charset) and (masked := _mask_two_byte_runs(text)) is not None:
        return masked, ""
    if _ISO_2022_LOCKING.fullmatch(charset) and (masked := _mask_locked_runs(text)) is not None:
        return masked, ""
    if _is_plain_ascii(text, charset):
        return text, ""
    return b"", f"charset {charset} is not read as ASCII"


def _mask_two_byte_runs(text: bytes) -> bytes | None:
    """Return the text with every run of two-byte characters replaced, None if the last one does not end."""
    runs = list(_SHIFTED.finditer(text))
    if _SINGLE_OCTET_SHIFTS.search(text) or (runs and not runs[-1][0].endswith((b"\x1b(B", b"\x1b(J"))):
        return None
    return _SHIFTED.sub(lambda run: _MASK * len(run[0]), text)


def _mask_locked_runs(text: bytes) -> bytes | None:
    """Return the text with every shifted run replaced, None if shifts remain."""
    masked = _LOCKED.sub(lambda run: _MASK * len(run[0]), text)
    return None if _SHIFTS.search(masked) else masked


def _is_plain_ascii(text: bytes, charset: str) -> bool:
    """Whether a text consists of ASCII bytes that mean ASCII characters in that charset."""
    if not charset or not text.isascii() or _SHIFTS.search(text):
        return False
    try:
        # Others that Python has a codec for escape by ASCII characters, as UTF-7 does, or have several octets for each.
        return codecs.lookup(charset).name.startswith(("iso2022_", "utf-8"))
    except (LookupError, ValueError):
        return _MULTIOCTET.match(charset) is None


def unsubscribe_values(content: bytes, root: Part) -> Iterable[bytes]:
    """Yield the List-Unsubscribe values of the message (RFC 2369)."""
    return (field.value(content) for field in named(root.fields, b"list-unsubscribe"))
