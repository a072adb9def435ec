"""xtext, the encoding of ENVID, ORCPT and AUTH parameters (RFC 3461 section 4): printable ASCII, the rest as +HH."""

import re

_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*")
_ENCODED = re.compile(rb"\+([0-9A-F]{2})")


def decode(text: str) -> str | None:
    """Return what the xtext stands for, None when it is none or hides characters that do not print."""
    if not _XTEXT.fullmatch(text):
        return None
    octets = _ENCODED.sub(lambda match: bytes([int(match[1], 16)]), text.encode("ascii"))
    try:
        decoded = octets.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return decoded if decoded.isprintable() else None
