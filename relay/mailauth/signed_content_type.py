"""Whether a signature settles how a mail is read, if Content-Type is not among its fields (as Google signs). Pure.

A field that is not signed can be changed by anybody who sends the mail again. So it counts only where the signed body
shows its form by itself: a multipart by its delimiters, a text by the lack of them.
"""

import re
from collections.abc import Sequence

from relay.mail.headers import body_start, fields, named
from relay.mailauth.dkim_verify import Signature

_VALUE = r'(?:"([ !#-\[\]-~]*)"|([!#$%&\'*+.0-9A-Z^_`a-z{|}~-]+))'

_PARAMETER = re.compile(rf"[ \t]*;[ \t]*([A-Za-z-]+)={_VALUE}".encode())

_TYPE = re.compile(rf"([A-Za-z]+/[A-Za-z]+)((?:{_PARAMETER.pattern.decode()})*)[ \t]*;?".encode())
"""The plain form of the field, which all parsers read alike: no comments, escapes and continued parameters."""

_MULTIPART = frozenset({b"multipart/report", b"multipart/mixed", b"multipart/alternative", b"multipart/related"})

_CHARSETS = frozenset({b"us-ascii", b"utf-8", b"iso-8859-1"})
"""Charsets in which ASCII reads as ASCII."""

_LINE_ENDS = re.compile(rb"[\r\n]*+")

_MAX_DELIMITERS = 10_000
"""Lines of a body that may be delimiters; a body with more has no certain form."""


def fixes_content_type(signature: Signature, message: bytes, names: Sequence[bytes]) -> bool:
    """Whether the signature covers these fields, and Content-Type or a body that can be read in one way only."""
    types = list(named(fields(message), b"content-type"))
    if len(types) > 1 or not signature.covers(message, names):
        return False
    if "content-type" in signature.covered:
        return True
    return _has_form(message, types[0].value(message) if types else b"text/plain")


def _has_form(message: bytes, content_type: bytes) -> bool:
    """Whether the body has the form that this Content-Type gives, and so no other."""
    found = _TYPE.fullmatch(content_type)
    if found is None:
        return False
    given = [(name.lower(), quoted or bare) for name, quoted, bare in _PARAMETER.findall(found[2])]
    parameters = dict(given)
    delimiters = _delimiters(message)
    if len(parameters) != len(given) or delimiters is None:
        return False

    boundary, (first, known) = parameters.get(b"boundary", b""), delimiters
    if found[1].lower() in _MULTIPART:
        return bool(boundary) and first == boundary and boundary + b"--" in known
    is_multipart = any(one.strip(b"-") and one + b"--" in known for one in known)
    is_plain = parameters.get(b"charset", b"us-ascii").lower() in _CHARSETS
    return found[1].lower() == b"text/plain" and is_plain and not is_multipart


def _delimiters(message: bytes) -> tuple[bytes, frozenset[bytes]] | None:
    """Return what the first line with text has behind `--`, and what all lines have; None if there are too many.

    Strangers write the body: this takes time linear in it, and next to none where there are no such lines.
    """
    start = body_start(message)
    at = _LINE_ENDS.match(message, start).end()  # type: ignore[union-attr]  # matches every text
    first = _behind_dashes(message, at) if message.startswith(b"--", at) else b""
    found = [first]
    at = message.find(b"\n--", max(start - 1, 0))
    while at >= 0:
        found.append(_behind_dashes(message, at + 1))
        if len(found) > _MAX_DELIMITERS:
            return None
        at = message.find(b"\n--", at + 3)
    return first, frozenset(found) - {b""}


def _behind_dashes(message: bytes, at: int) -> bytes:
    """Return the text of a line from its third octet on, without blanks at its end."""
    end = message.find(b"\n", at)
    return message[at + 2 : end if end >= 0 else len(message)].rstrip(b" \t\r")
