"""The content as sent after DATA: dots doubled at line starts, final CRLF and dot (RFC 5321 section 4.5.2)."""

import asyncio
from collections.abc import AsyncGenerator

from relay.content_file import PIECE, Content, ContentFile

_LINE_END = b"\r\n"


def outgoing_body(content: Content) -> "bytes | StuffedFile":
    """Return the content as it is sent: a large one is read from its file while it is sent."""
    return stuffed(content) if isinstance(content, bytes) else StuffedFile(content)


def stuffed(content: bytes) -> bytes:
    """Return a whole content as it is sent."""
    body = content.replace(b"\r\n.", b"\r\n..")
    start = b"." if body.startswith(b".") else b""
    end = b".\r\n" if body.endswith(b"\r\n") or not body else b"\r\n.\r\n"
    return b"".join((start, body, end))


class StuffedFile:
    """A content in a file, dot-stuffed piece by piece."""

    def __init__(self, content: ContentFile) -> None:
        self._content = content

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yield the octets to be sent. The file is read in a thread."""
        last = _LINE_END
        for start in range(0, len(self._content), PIECE):
            piece = await asyncio.to_thread(self._content.piece, start)
            yield stuffed_piece(piece, last)
            last = (last + piece)[-len(_LINE_END) :]
        yield b".\r\n" if last == _LINE_END else b"\r\n.\r\n"


def stuffed_piece(piece: bytes, last: bytes) -> bytes:
    """Return a piece with its dots doubled; `last` are the two octets before it, a line end at the start."""
    return (last + piece).replace(b"\r\n.", b"\r\n..")[len(last) :]
