"""The keys of tracking tokens as the configuration writes them: "id:base64"."""

import base64
import binascii
import re

_ID = re.compile(r"[A-Za-z0-9]{1,16}")
MIN_OCTETS, MAX_OCTETS = 16, 64
"""What keyed BLAKE2b takes (RFC 7693 section 2.9), and no less than 128 bits."""


def parse_tracker_key(text: str) -> tuple[str, bytes]:
    """Return id and octets of "k1:<base64>"; raise ValueError naming the fault, never the key."""
    name, colon, encoded = text.strip().partition(":")
    if not colon or not _ID.fullmatch(name):
        raise ValueError("a key has an id of 1 to 16 letters and digits, a colon, and base64")
    try:
        octets = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f'what follows "{name}:" is not base64') from None
    if not MIN_OCTETS <= len(octets) <= MAX_OCTETS:
        raise ValueError(f'key "{name}" has {len(octets)} octets, not {MIN_OCTETS} to {MAX_OCTETS}')
    return name, octets
