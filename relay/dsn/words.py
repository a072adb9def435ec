"""Encoded words in header values (RFC 2047), read with bounds: the standard library takes seconds for hostile ones."""

import base64
import binascii
import re

_WORD = re.compile(r"=\?([A-Za-z0-9_-]{1,30})(?:\*[A-Za-z-]{1,10})?\?([bBqQ])\?([^?\s]{0,400})\?=")
_BETWEEN = re.compile(r"(\?=)\s{1,20}(=\?)")
_HEX = re.compile(rb"=([0-9A-Fa-f]{2})")
_REFUSED = ("punycode", "idna", "utf_7", "utf-7", "unicode", "raw_unicode")


def decode_words(value: str) -> str:
    """Return the value with its encoded words decoded; one that cannot be read stays as it is."""
    if "=?" not in value:
        return value
    return _WORD.sub(_decoded, _BETWEEN.sub(r"\1\2", value))


def _decoded(match: re.Match[str]) -> str:
    charset, encoding, text = match[1].lower(), match[2].lower(), match[3]
    if charset.startswith(_REFUSED):
        return match[0]
    try:
        if encoding == "b":
            data = base64.b64decode(text + "=" * (-len(text) % 4))
        else:
            data = _HEX.sub(lambda pair: bytes([int(pair[1], 16)]), text.replace("_", " ").encode())
        return data.decode(charset, "replace")
    except (LookupError, ValueError, binascii.Error):
        return match[0]
