"""The octets of a token: MAC, tag of the key, queue id, index of the recipient, and the target of a click."""

import binascii
from functools import lru_cache

from relay.mail.native import IS_COMPILED, native
from relay.mail.queue_id import LENGTH, is_queue_id

MAC = 16
"""Octets of the MAC."""

TAG = 1
"""Octets of the tag that finds the key."""

_QUEUE_ID = 9
"""Octets of the queue id."""

_HEAD = MAC + TAG + _QUEUE_ID

COMPRESSED = 1 << 70
"""Bit beside the queue id: the target is compressed. LENGTH digits need 70 of the 72 bits."""

_MAX_RECIPIENT = 2**28 - 1
"""Largest index of a recipient: four octets of LEB128."""

_QUEUE_DIGITS = "0123456789ABCDFGHJKLMNPQRSTVWXYZ"
_INT_DIGITS = "0123456789abcdefghijklmnopqrstuv"
_TO_INT = str.maketrans(_QUEUE_DIGITS, _INT_DIGITS)
"""Digits of queue ids to those that `int` parses."""

_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_", b"+/")
"""Base64 to base64url and back (RFC 4648 section 5)."""

TokenParts = tuple[bytes, bytes, str, int, bytes, bool]
"""MAC and the octets it is of; in these queue id, index of the recipient, the target, and whether it is compressed."""


def base64url_twin(data: bytes) -> bytes:
    """Return the octets in base64url without padding (twin of `_native`)."""
    return binascii.b2a_base64(data, newline=False).translate(_TO_URL).rstrip(b"=")


base64url = native.base64url if IS_COMPILED else base64url_twin


def read_url_token_twin(text: str) -> TokenParts | None:
    """Return the parts of a URL token that is not verified yet, None for another form (twin of `_native`)."""
    if not text.isascii():
        return None
    encoded = text.encode("ascii")
    try:
        data = binascii.a2b_base64(encoded.translate(_FROM_URL) + b"=" * (-len(encoded) % 4))
    except binascii.Error:
        return None
    return read_parts(data) if base64url_twin(data) == encoded else None


read_url_token = native.read_url_token if IS_COMPILED else read_url_token_twin


def read_parts(data: bytes) -> TokenParts | None:
    """Return the parts of a token, None for octets in another form than that of `_sign`."""
    if len(data) <= _HEAD:
        return None
    number = int.from_bytes(data[MAC + TAG : _HEAD], "big")
    recipient, width = _read_leb128(data[_HEAD:])
    target = data[_HEAD + width :]
    is_compressed = bool(number & COMPRESSED and target)
    number ^= COMPRESSED if is_compressed else 0
    if not width or number >= 32**LENGTH:
        return None
    return data[:MAC], data[MAC:], _queue_id(number), recipient, target, is_compressed


def _read_leb128(octets: bytes) -> tuple[int, int]:
    """Return the number at the beginning and its width, 0 for another form than that of `_leb128`."""
    value = 0
    for at, byte in enumerate(octets[:4]):
        value |= (byte & 0x7F) << 7 * at
        if byte < 0x80:
            return value, at + 1 if byte or not at else 0
    return value, 0


_PAIRS = tuple(high + low for high in _QUEUE_DIGITS for low in _QUEUE_DIGITS)
_SHIFTS = tuple(range(5 * (LENGTH - 2), -1, -10))


def _queue_id(number: int) -> str:
    return "".join([_PAIRS[number >> shift & 1023] for shift in _SHIFTS])


@lru_cache(maxsize=4096)
def head_octets(queue_id: str, recipient: int, flag: int = 0) -> bytes:
    """Return the octets of queue id and recipient. Raises ValueError for malformed ones."""
    if not is_queue_id(queue_id):
        raise ValueError(f"{queue_id!r} is not a queue id: {LENGTH} digits of {_QUEUE_DIGITS}")
    if not 0 <= recipient <= _MAX_RECIPIENT:
        raise ValueError(f"recipient {recipient} is out of range: 0 to {_MAX_RECIPIENT}")
    return (int(queue_id.translate(_TO_INT), 32) | flag).to_bytes(_QUEUE_ID, "big") + _leb128(recipient)


def _leb128(value: int) -> bytes:
    """Encode with seven bits an octet, lowest first. The high bit is set in all octets but the last."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
