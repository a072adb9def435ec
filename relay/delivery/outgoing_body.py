"""The body of a transaction, as sent after DATA: from memory at once, from a file piece by piece."""

import asyncio
from collections.abc import AsyncGenerator

from relay.content_file import PIECE, Content, ContentFile
from relay.frozen import dataclass
from relay.mail.dot_stuffing import stuffed, stuffed_piece

_LINE_END = b"\r\n"


@dataclass(frozen=True, slots=True)
class StuffedBytes:
    """A content in memory, dot-stuffed, and its end with the final dot."""

    octets: bytes
    end: bytes


def outgoing_body(content: Content) -> "StuffedBytes | StuffedFile":
    """Return the content as it is sent: a large one is read from its file while it is sent."""
    return StuffedBytes(*stuffed(content)) if isinstance(content, bytes) else StuffedFile(content)


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
