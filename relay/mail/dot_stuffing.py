"""Encodes and decodes the content of a message after DATA: its end, dot-stuffing, line ends (RFC 5321 section 4.5.2).

DATA ends only at CRLF "." CRLF (RFC 5321 section 4.1.1.4). A bare CR or LF neither ends the content nor makes a dot
special.

After decoding, every bare CR and LF becomes CRLF, so that no later server finds another end in the message (SMTP
smuggling).
"""

from relay.mail.native import IS_COMPILED, native

_END = b"\r\n.\r\n"

_CRLF = b"\r\n"


def normalise(content: bytes) -> bytes:
    """Replace every bare CR and LF by CRLF."""
    pairs = content.count(_CRLF)
    if content.count(b"\n") == pairs and content.count(b"\r") == pairs:
        return content
    return content.replace(_CRLF, b"\n").replace(b"\r", b"\n").replace(b"\n", _CRLF)


def stuffed(content: bytes) -> tuple[bytes, bytes]:
    """Return a whole content as it is sent, and its end. A content without dots to double is not copied."""
    first = native.find_dot_line(content) if IS_COMPILED else find_dot_line(content)
    body = content.replace(b"\r\n.", b"\r\n..") if first >= 0 else content
    if body.startswith(b"."):
        body = b"." + body
    return body, b".\r\n" if body.endswith(_CRLF) or not body else b"\r\n.\r\n"


def stuffed_piece(piece: bytes, last: bytes) -> bytes:
    """Return a piece with its dots doubled; `last` are the two octets before it, a line end at the start."""
    return (last + piece).replace(b"\r\n.", b"\r\n..")[len(last) :]


def find_dot_line(content: bytes) -> int:
    """Return where the first line end is before a dot, -1 without one (Python twin of `_native.find_dot_line`)."""
    return content.find(b"\r\n.")


def find_end(raw: bytes) -> int:
    """Return where the end mark of content is, -1 without one (Python twin of `_native.find_end`)."""
    return raw.find(_END)


def decode_dots(raw: bytes, stop: int) -> bytes:
    """Return the content before `stop`: dots unstuffed, line ends CRLF (Python twin of `_native.decode_dots`)."""
    return normalise(raw[:stop].replace(b"\r\n.", _CRLF))


class DotDecoder:
    """Decodes the data after 354, in blocks of any size, in linear time.

    `finished` is true after the final dot; `rest` is then the data after it.
    """

    __slots__ = ("_added", "_held", "_started", "finished", "rest")

    def __init__(self) -> None:
        self._held = b""
        """Octets that the next block decides."""
        self._added = 0
        """Octets of a line end that was put in front of the content."""
        self._started = False
        self.finished = False
        self.rest = b""

    def feed(self, block: bytes) -> bytes:
        """Decode the next block and return the decoded content: dots unstuffed, line ends CRLF."""
        if not self._started and block:
            self._started = True
            if block.startswith(b"."):  # Is decoded as one behind a line end.
                self._held, self._added = _CRLF, len(_CRLF)

        raw = self._held + block if self._held else block
        end = native.find_end(raw) if IS_COMPILED else find_end(raw)
        if end < 0:
            stop = len(raw) - _undecided(raw)
            self._held = raw[stop:]
        else:
            stop = end + len(_CRLF)
            self.finished = True
            self.rest = raw[end + len(_END) :]
        return self._decode(raw, stop)

    def _decode(self, raw: bytes, stop: int) -> bytes:
        content = native.decode_dots(raw, stop) if IS_COMPILED else None
        if content is None:
            content = decode_dots(raw, stop)
        if self._added and content:
            content, self._added = content[self._added :], 0
        return content


class LineEndDecoder:
    """Normalises the line ends of BDAT chunks, which have no dot-stuffing (RFC 3030)."""

    __slots__ = ("_held", "_line_open")

    def __init__(self) -> None:
        self._held = b""
        self._line_open = False

    def feed(self, block: bytes) -> bytes:
        """Normalise the next block and return the content decided so far."""
        raw = self._held + block
        self._held = b"\r" if raw.endswith(b"\r") else b""
        content = normalise(raw[: len(raw) - len(self._held)])
        if content:
            self._line_open = not content.endswith(_CRLF)
        return content

    def finish(self) -> bytes:
        """Return the line end that completes the last line, b"" if it is complete."""
        return _CRLF if self._held or self._line_open else b""


def _undecided(raw: bytes) -> int:
    """Return the number of final octets that may begin the end mark or a stuffed dot."""
    return next((length for length in range(len(_END) - 1, 0, -1) if raw.endswith(_END[:length])), 0)
