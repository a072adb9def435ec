"""Decodes the character references of attribute values (HTML section 13.5)."""

import re
from html.entities import html5

_REFERENCE = re.compile(r"&(#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[A-Za-z0-9]+;?)")

_MAX_LEGACY = max(len(name) for name in html5 if not name.endswith(";"))

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

_WINDOWS_1252 = {
    code: bytes([code]).decode("windows-1252")
    for code in range(0x80, 0xA0)
    if code not in (0x81, 0x8D, 0x8F, 0x90, 0x9D)
}


def decode_attribute(value: str) -> str:
    """Return the attribute value with its character references decoded, once."""
    if "&" not in value:
        return value
    if value.count("&") == value.count("&amp;"):
        return value.replace("&amp;", "&")
    return _REFERENCE.sub(_character, value)


def _character(match: re.Match[str]) -> str:
    name = match[1]
    if name.startswith("#"):
        return _numbered(name[1:].rstrip(";"))
    if name.endswith(";") and name in html5:
        return html5[name]
    letters = name.rstrip(";")
    for length in range(min(len(letters), _MAX_LEGACY), 1, -1):
        if letters[:length] in html5:
            following = match.string[match.start(1) + length : match.start(1) + length + 1]
            if following == "=" or (following.isascii() and following.isalnum()):
                return match[0]
            return html5[letters[:length]] + name[length:]
    return match[0]


def _numbered(digits: str) -> str:
    base = 16 if digits[0] in "xX" else 10
    significant = digits.lstrip("xX").lstrip("0")
    if len(significant) > 7:
        return _REPLACEMENT
    code = int(significant or "0", base)
    if code in _WINDOWS_1252:
        return _WINDOWS_1252[code]
    if code == 0 or code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        return _REPLACEMENT
    return chr(code)
