"""Hashes of bodies for the verification of DKIM signatures (RFC 6376 section 3.4), each computed once a message. Pure.

All take time linear in the body, and in pieces: a thread that computes one stops no other for long.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from relay.mailauth.dkim_sign import relaxed_body_pieces

_PIECE = 256 * 1024
"""Octets that are hashed at a time."""

_LINE_ENDS = b"\r\n" * 16384


def simple_body_pieces(content: bytes, start: int) -> Iterator[bytes]:
    """Yield the simple form of a body in pieces (section 3.4.3): one line end stands for those at its end."""
    end = len(content)
    while content.endswith(_LINE_ENDS, start, end):
        end -= len(_LINE_ENDS)
    while content.endswith(b"\r\n", start, end):
        end -= 2
    for at in range(start, end, _PIECE):
        yield content[at : min(at + _PIECE, end)]
    yield b"\r\n"


_FORMS: Mapping[bytes, Callable[[bytes, int], Iterator[bytes]]] = {
    b"relaxed": relaxed_body_pieces,
    b"simple": simple_body_pieces,
}


@dataclass(frozen=True, slots=True)
class BodyHashes:
    """Hashes of the body that begins at `start`, by canonical form and length."""

    content: bytes
    start: int
    _known: dict[tuple[bytes, int | None], bytes] = field(default_factory=dict)

    def sha256(self, form: bytes, length: int | None = None) -> bytes | None:
        """Return the hash of the body in this form, or of its first octets (`l=`); None for an unknown form."""
        pieces = _FORMS.get(form)
        if pieces is None:
            return None
        known = self._known.get((form, length))
        if known is None:
            known = self._known[form, length] = _hash(pieces(self.content, self.start), length)
        return known


def _hash(pieces: Iterator[bytes], length: int | None) -> bytes:
    made, left = hashlib.sha256(), length
    for piece in pieces:
        made.update(piece if left is None else piece[:left])
        left = None if left is None else max(left - len(piece), 0)
        if left == 0:
            break
    return made.digest()
