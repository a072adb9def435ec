"""Contents too large for memory: files without a name."""

import os
import tempfile
from pathlib import Path

LARGE = 1 << 20
"""Octets of a content above which it is kept in a file."""

PIECE = 256 * 1024
"""Octets that are read or written at a time."""

HEAD = 64 * 1024
"""Octets of the beginning of a large content that are kept in memory, for its header fields."""


class UnreadContent:
    """A content that was left in the store: it is copied to a file when the message is sent."""

    __slots__ = ("head", "size")

    def __init__(self, size: int, head: bytes) -> None:
        self.size = size
        self.head = head
        """The first octets, at most HEAD."""

    def __len__(self) -> int:
        return self.size


class ContentWriter:
    """A new file without a name, in which a content is written. All methods raise OSError, and may block."""

    def __init__(self, folder: Path) -> None:
        self.fd, path = tempfile.mkstemp(prefix="content-", dir=folder)
        try:
            self._reading = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            os.close(self.fd)
            raise
        finally:
            Path(path).unlink()

    def write(self, piece: bytes) -> None:
        """Append a piece."""
        view = memoryview(piece)
        while view:
            view = view[os.write(self.fd, view) :]

    def restart(self) -> None:
        """Drop what was written."""
        os.ftruncate(self.fd, 0)
        os.lseek(self.fd, 0, os.SEEK_SET)

    def finish(self) -> "ContentFile":
        """End writing, and return the content. What another process wrote to `fd` belongs to it."""
        os.close(self.fd)
        try:
            return ContentFile(self._reading)
        except OSError:
            os.close(self._reading)
            raise

    def discard(self) -> None:
        """Give the file up."""
        os.close(self.fd)
        os.close(self._reading)


class ContentFile:
    """A content in a file without a name. It offers what delivery needs of `bytes`: the size, and `isascii`."""

    def __init__(self, fd: int) -> None:
        """Take over a file that is open for reading. Reads it once. Raises OSError, and may block."""
        self.fd = fd
        self._size = os.fstat(fd).st_size
        self.head = self.piece(0, HEAD)
        self._is_ascii = all(self.piece(start).isascii() for start in range(0, self._size, PIECE))

    @staticmethod
    def of(content: bytes, folder: Path) -> "ContentFile":
        """Write a content to a new file. Raises OSError, and may block."""
        writer = ContentWriter(folder)
        try:
            writer.write(content)
        except OSError:
            writer.discard()
            raise
        return writer.finish()

    def __len__(self) -> int:
        return self._size

    def isascii(self) -> bool:
        """Whether no octet is over 127."""
        return self._is_ascii

    def piece(self, start: int, size: int = PIECE) -> bytes:
        """Return at most `size` octets from `start`."""
        return os.pread(self.fd, size, start)

    def read(self) -> bytes:
        """Return the whole content."""
        return read_whole(self.fd)

    def close(self) -> None:
        """Close the file, which frees its space."""
        os.close(self.fd)


Content = bytes | ContentFile


def read_whole(fd: int) -> bytes:
    """Return the content of an open file. Its position is not used: other processes may read the same file."""
    size = os.fstat(fd).st_size
    return b"".join(os.pread(fd, PIECE, start) for start in range(0, size, PIECE))


def head_of(content: bytes | ContentFile | UnreadContent) -> bytes:
    """Return the beginning of a content, with its header fields: all of it, unless it is large."""
    return content if isinstance(content, bytes) else content.head
