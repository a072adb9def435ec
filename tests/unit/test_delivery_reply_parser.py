"""Reading replies strictly."""

import pytest

from relay.delivery.reply_parser import MAX_EMPTY_LINES, MAX_LINE, MAX_LINES, MalformedReply, ReplyReader
from relay.mail.reply import Reply


@pytest.mark.parametrize(
    ("data", "reply"),
    [
        (b"250 ok\r\n", Reply(250, "", "ok")),
        (b"250 2.1.0 ok\r\n", Reply(250, "2.1.0", "ok")),
        (b"250\r\n", Reply(250, "", "")),
        (b"250 \r\n", Reply(250, "", "")),
        (b"250OK\r\n", Reply(250, "", "OK")),
        (b"550User unknown\r\n", Reply(550, "", "User unknown")),
        (b"250-one\r\n250Two\r\n", Reply(250, "", "one\nTwo")),
        (b"250 bare\n", Reply(250, "", "bare")),
        (b"250-2.0.0 one\r\n250-2.0.0 two\r\n250 2.0.0 three\r\n", Reply(250, "2.0.0", "one\ntwo\nthree")),
        (b"250-one\r\n250\r\n", Reply(250, "", "one\n")),
        (b"250 5.7.1 contradicts\r\n", Reply(250, "", "5.7.1 contradicts")),
        (b"550 \xff\xfe\r\n", Reply(550, "", "\ufffd\ufffd")),
        (b"550 a\x1b[31m\x00b\tc\r\n", Reply(550, "", "a?[31m?b?c")),
        ("550 5.1.1 été €\r\n".encode(), Reply(550, "5.1.1", "été €")),
    ],
)
def test_a_reply_is_parsed_whole(data: bytes, reply: Reply) -> None:
    assert ReplyReader().feed(data) == [reply]


@pytest.mark.parametrize(
    "data",
    [
        *(b"ok\r\n", b"25 ok\r\n", b"2500 ok\r\n", b"150 ok\r\n", b"650 ok\r\n", b"099 ok\r\n"),
        *(b"\x00\xff\xfe HTTP/1.1 400 Bad\r\n", b"250_ok\r\n", b"+OK\r\n", "２５０ ok\r\n".encode()),
        *(b"250-ok\r\n550 no\r\n", b"250-ok\r\nok\r\n"),
        *(b"250 " + b"x" * MAX_LINE + b"\r\n", b"250 " + b"x" * MAX_LINE, b"250-x\r\n" * (MAX_LINES + 1)),
        b"".join(b"250-%s\r\n" % (b"x" * 1000) for _ in range(40)),
    ],
    ids=lambda data: repr(data[:30]),
)
def test_nonsense_ends_it(data: bytes) -> None:
    reader = ReplyReader()
    (nonsense,) = reader.feed(data)
    assert isinstance(nonsense, MalformedReply)
    assert reader.feed(b"250 ok\r\n") == []
    assert not reader.is_clean


def test_replies_before_nonsense_count() -> None:
    found = ReplyReader().feed(b"250 ok\r\nwhat\r\n250 lost\r\n")
    assert found[0] == Reply(250, "", "ok")
    assert isinstance(found[1], MalformedReply)
    assert len(found) == 2


def test_clean_only_between_replies() -> None:
    reader = ReplyReader()
    assert reader.is_clean
    for part in (b"2", b"50-one\r\n", b"250 two"):
        assert reader.feed(part) == []
        assert not reader.is_clean
    assert reader.feed(b"\r\n") == [Reply(250, "", "one\ntwo")]
    assert reader.is_clean


def test_empty_lines_before_a_reply_are_skipped() -> None:
    """Servers behind filters send them. RFC 5321 section 4.2 knows no empty reply."""
    reader = ReplyReader()
    assert reader.feed(b"\r\n250 2.0.0 ok\r\n\n") == [Reply(250, "2.0.0", "ok")]
    assert reader.is_clean
    assert reader.feed(b"\r\n250-a\r\n") == []
    assert not reader.is_clean


def test_lines_of_blanks_and_empty_lines_within_a_reply_are_skipped() -> None:
    assert ReplyReader().feed(b" \t\r\n250-one\r\n\r\n250 two\r\n") == [Reply(250, "", "one\ntwo")]


def test_empty_lines_without_end_are_no_replies() -> None:
    found = ReplyReader().feed(b"\r\n" * (MAX_EMPTY_LINES + 1))
    assert [type(one) for one in found] == [MalformedReply]
