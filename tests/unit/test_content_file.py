"""Contents in files without a name."""

import errno
import os
from pathlib import Path

import pytest

from relay.content_file import HEAD, PIECE, ContentFile, ContentWriter, UnreadContent, head_of


def test_a_content_is_read_as_it_was_written_and_leaves_no_name(tmp_path: Path) -> None:
    content = bytes(range(256)) * (PIECE // 100)
    file = ContentFile.of(content, tmp_path)
    assert not list(tmp_path.iterdir())
    assert (len(file), file.read(), file.isascii()) == (len(content), content, False)
    assert file.piece(PIECE) == content[PIECE : 2 * PIECE]
    assert head_of(file) == content[:HEAD]
    file.close()
    with pytest.raises(OSError, match="descriptor"):
        file.piece(0)


@pytest.mark.parametrize("last", [b"", b"\xff"])
def test_one_octet_decides_whether_it_is_ascii(tmp_path: Path, last: bytes) -> None:
    file = ContentFile.of(b"a" * (2 * PIECE) + last, tmp_path)
    assert file.isascii() is not bool(last)
    file.close()


def test_a_writer_starts_anew_and_what_another_descriptor_wrote_counts(tmp_path: Path) -> None:
    writer = ContentWriter(tmp_path)
    writer.write(b"a first attempt")
    writer.restart()
    other = os.dup(writer.fd)
    os.write(other, b"second")
    file = writer.finish()
    assert file.read() == b"second"
    with pytest.raises(OSError, match="descriptor"):
        os.write(file.fd, b"x")
    os.close(other)
    file.close()


def test_a_discarded_file_is_closed(tmp_path: Path) -> None:
    writer = ContentWriter(tmp_path)
    writer.discard()
    with pytest.raises(OSError, match="descriptor"):
        writer.write(b"x")


def test_a_writer_without_a_second_descriptor_keeps_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[int] = []

    def limited(path: str, flags: int, *mode: int) -> int:
        if opened:
            raise OSError(errno.EMFILE, "Too many open files")
        opened.append(os_open(path, flags, *mode))
        return opened[0]

    os_open = os.open
    monkeypatch.setattr(os, "open", limited)
    with pytest.raises(OSError, match="Too many open files"):
        ContentWriter(tmp_path)
    with pytest.raises(OSError, match="descriptor"):
        os.close(opened[0])
    assert not list(tmp_path.iterdir())


def test_a_content_that_was_left_in_the_store_has_its_size_and_its_head() -> None:
    unread = UnreadContent(5_000_000, b"Subject: x\r\n")
    assert (len(unread), head_of(unread), head_of(b"whole")) == (5_000_000, b"Subject: x\r\n", b"whole")
