"""The file of blocked links: read when it changes, and whatever happens to it, blocks stay in force."""

from pathlib import Path

import pytest

from relay.rewrite.tokens import Kind, Token, new_key, parse_keyring
from relay.tracker.block_file import BlockFile
from relay.tracker.link_blocks import BlockParser

LINK = Token(Kind.CLICK, "0ABCDFGHJKLMNP", 0, "https://www.evil.test/")


class Read:
    """A file, and what reading it logged."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[tuple[str, dict[str, object]]] = []
        parser = BlockParser(parse_keyring([new_key(b"k" * 32)]))
        self.file = BlockFile(path, lambda: parser, lambda line, **fields: self.lines.append((line, fields)))

    def blocked(self) -> bool:
        self.file.read()
        return self.file.blocks.find(LINK) is not None


@pytest.fixture
def read(tmp_path: Path) -> Read:
    return Read(tmp_path / "blocked-links")


def test_the_file_is_followed(read: Read) -> None:
    assert not read.blocked()
    assert read.lines == []
    read.path.write_text("evil.test\n")
    assert read.blocked()
    assert read.blocked()
    read.path.write_text("https://www.evil.test/\n")
    assert read.blocked()
    read.path.unlink()
    assert not read.blocked()
    read.blocked()
    assert [fields["blocks"] for _, fields in read.lines] == [1, 1, 0]


def test_faults_are_named_and_the_other_lines_hold(read: Read) -> None:
    read.path.write_bytes(b"# list\n\n\xff\xfe\ncom\nevil.test\n")
    assert read.blocked()
    [(line, fields)] = read.lines
    assert line == "links.read"
    assert [str(one)[:7] for one in fields["faults"]] == ["line 3:", "line 4:"]  # type: ignore[attr-defined]


def test_a_file_that_cannot_be_read_changes_nothing(read: Read) -> None:
    read.path.write_text("evil.test\n")
    assert read.blocked()
    read.path.unlink()
    read.path.mkdir()
    assert read.blocked()
    assert read.blocked()
    assert [line for line, _ in read.lines] == ["links.read", "links.file_unreadable"]
    read.path.rmdir()
    assert not read.blocked()
