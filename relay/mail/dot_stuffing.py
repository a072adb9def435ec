"""The content of a message on its way in: where it ends, its dots, its line ends.

DATA ends at CRLF "." CRLF and at nothing else (RFC 5321 section 4.1.1.4). Other line ends are no line ends on the wire:
a bare CR or LF never ends the content and never makes a dot special. Once the end is found and the dots are removed,
every bare CR and bare LF becomes CRLF, so that no server further on can read an end into the message (SMTP smuggling).
"""

from relay.mail.native import IS_COMPILED, native

_END = b"\r\n.\r\n"


_CRLF = b"\r\n"


def normalise(content: bytes) -> bytes:
    """Return the content with every bare CR and bare LF made CRLF."""
    pairs = content.count(_CRLF)
    if content.count(b"\n") == pairs and content.count(b"\r") == pairs:
        return content
    return content.replace(_CRLF, b"\n").replace(b"\r", b"\n").replace(b"\n", _CRLF)


class DotDecoder:
    """Decodes what follows 354, in blocks cut anywhere, in time linear in their size.

    `finished` tells that the final dot has come; `rest` is then what was sent after it.
    """

    __slots__ = ("_held", "_started", "finished", "rest")

    def __init__(self) -> None:
        self._held = _CRLF
        """What cannot be decided yet; at the start a line end, since the first line is a line like any other."""
        self._started = False
        self.finished = False
        self.rest = b""

    def feed(self, block: bytes) -> bytes:
        """Take the next block off the wire and return the content known by now: dots unstuffed, line ends CRLF."""
        raw = self._held + block
        end = raw.find(_END)
        if end < 0:
            decided = len(raw) - _undecided(raw)
            self._held = raw[decided:]
            return self._decode(raw[:decided])
        self.finished = True
        self.rest = raw[end + len(_END) :]
        return self._decode(raw[: end + len(_CRLF)])

    def _decode(self, raw: bytes) -> bytes:
        if not raw:
            return b""
        content = native.decode_dots(raw) if IS_COMPILED else None
        if content is None:
            content = normalise(raw.replace(b"\r\n.", _CRLF))
        if self._started:
            return content
        self._started = True
        return content[len(_CRLF) :]


class LineEndDecoder:
    """Normalises line ends over blocks cut anywhere, for chunks, which have no dots (RFC 3030)."""

    __slots__ = ("_held", "_line_open")

    def __init__(self) -> None:
        self._held = b""
        self._line_open = False

    def feed(self, block: bytes) -> bytes:
        """Take the next block and return the content known by now."""
        raw = self._held + block
        self._held = b"\r" if raw.endswith(b"\r") else b""
        content = normalise(raw[: len(raw) - len(self._held)])
        if content:
            self._line_open = not content.endswith(_CRLF)
        return content

    def finish(self) -> bytes:
        """Return what ends the content: its last line is a whole one."""
        return _CRLF if self._held or self._line_open else b""


def _undecided(raw: bytes) -> int:
    """Return how many octets at the end may be the beginning of the end, or of a stuffed dot."""
    return next((length for length in range(len(_END) - 1, 0, -1) if raw.endswith(_END[:length])), 0)
