import pytest

from relay.mail.dot_stuffing import DotDecoder, LineEndDecoder, normalise


def decode(wire: bytes) -> tuple[bytes, bool, bytes]:
    decoder = DotDecoder()
    content = decoder.feed(wire)
    return content, decoder.finished, decoder.rest


@pytest.mark.parametrize(
    ("wire", "content", "rest"),
    [
        (b".\r\n", b"", b""),
        (b"a\r\n.\r\n", b"a\r\n", b""),
        (b"a\r\n.\r\nQUIT\r\n", b"a\r\n", b"QUIT\r\n"),
        (b"..\r\n...x\r\n.y\r\n.\r\n", b".\r\n..x\r\ny\r\n", b""),
        (b"\r\n.\r\n", b"\r\n", b""),
        (b"a\r\n.\r\n.\r\n", b"a\r\n", b".\r\n"),
    ],
)
def test_only_a_lone_dot_between_line_ends_ends_the_content(wire: bytes, content: bytes, rest: bytes) -> None:
    assert decode(wire) == (content, True, rest)


NO_ENDS = [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n", b"\n.\r", b"\r\n.\r\r\n", b"\r\n\0.\r\n"]

NO_ENDS += [
    b"\r\n.\0\r\n",
    b"\r\n. \r\n",
    b"\r\n .\r\n",
    b"\n\n.\r\n",
    b"\n\r.\n\r",
    b"\r\r\n.\n",
    b"\xe2\x80\xa8.\xe2\x80\xa8",
]


@pytest.mark.parametrize("sequence", NO_ENDS)
def test_nothing_else_ends_it_and_nothing_bare_is_left(sequence: bytes) -> None:
    smuggled = b"MAIL FROM:<evil@x.test>\r\n"
    content, finished, rest = decode(b"a" + sequence + smuggled + b".\r\n")
    assert finished
    assert rest == b""
    assert smuggled in content
    assert content == normalise(content)


def test_bare_line_ends_become_crlf() -> None:
    assert normalise(b"a\nb\rc\r\nd\r\r\ne\n\rf") == b"a\r\nb\r\nc\r\nd\r\n\r\ne\r\n\r\nf"
    assert decode(b"a\nb\rc\r\n.\r\n")[0] == b"a\r\nb\r\nc\r\n"


def test_dots_after_bare_line_ends_are_content() -> None:
    assert decode(b"a\n.b\n..c\r\n.\r\n")[0] == b"a\r\n.b\r\n..c\r\n"


def test_unfinished_content_waits() -> None:
    decoder = DotDecoder()
    assert decoder.feed(b"abc\r\n.") == b"abc"
    assert not decoder.finished
    assert decoder.feed(b"\r\n") == b"\r\n"
    assert decoder.finished


def test_chunks_keep_dots_and_end_with_a_line_end() -> None:
    decoder = LineEndDecoder()
    assert decoder.feed(b".\r\n..\r") + decoder.feed(b"\n.x") + decoder.finish() == b".\r\n..\r\n.x\r\n"
    decoder = LineEndDecoder()
    assert decoder.feed(b"a\r") + decoder.finish() == b"a\r\n"
    assert LineEndDecoder().finish() == b""
    decoder = LineEndDecoder()
    assert decoder.feed(b"a\n") + decoder.finish() == b"a\r\n"
