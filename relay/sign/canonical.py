"""The relaxed canonical forms of header fields and bodies (RFC 6376 section 3.4), linear in their input.

White space is what RFC 6376 calls WSP, space and tab, and nothing else. Line ends are CRLF, as in every stored message.
"""

import hashlib
import re

_RUN = re.compile(rb"  +")  # `re` looks for its first two spaces as a literal; " {2,}" is four times slower


def relaxed_header(name: bytes, value: bytes) -> bytes:
    """Return a header field in relaxed form with its CRLF (RFC 6376 section 3.4.2).

    `value` is what stands after the colon, folded or not, its line end included or not.
    """
    return name.lower() + b":" + _single_spaced(value.replace(b"\r\n", b"")).strip(b" ") + b"\r\n"


def relaxed_body(body: bytes) -> bytes:
    """Return a body in relaxed form (RFC 6376 section 3.4.4): b"" when nothing but blank lines is in it.

    A last line without CRLF is read as if it had one, because it has one once SMTP has carried it: blanks at its end
    go too.
    """
    text = _single_spaced(body)
    if text.endswith(b" "):
        text = text[:-1]
    text = text.replace(b" \r\n", b"\r\n")
    kept = _without_last_line_ends(text)
    return kept + b"\r\n" if kept else b""


def body_hash(body: bytes) -> bytes:
    """Return the SHA-256 digest of the relaxed body, what `bh=` holds in base64 (RFC 6376 section 3.7)."""
    return hashlib.sha256(relaxed_body(body)).digest()


def _single_spaced(text: bytes) -> bytes:
    """Turn every run of spaces and tabs into one space."""
    return _RUN.sub(b" ", text.replace(b"\t", b" "))


def _without_last_line_ends(text: bytes) -> bytes:
    """Strip whole CRLFs from the end.

    `rstrip` alone would also take a CR or LF that stands by itself; the pairs among what it took are counted as one
    character each, so that a body of nothing but blank lines costs no more than another.
    """
    kept = text.rstrip(b"\r\n")
    lone = text[len(kept) :].replace(b"\r\n", b"\0").rstrip(b"\0")
    return kept + lone.replace(b"\0", b"\r\n")
