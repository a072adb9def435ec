"""The bounce reader meets any bytes: it never raises, and its work grows no faster than the mail."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.dsn.mime_parts import MAX_PARTS, decode_words, walk
from relay.dsn.parse import parse
from relay.dsn.reply_parts import mask_reply

PIECES = (
    b"From: MAILER-DAEMON@a.example\n",
    b"Return-Path: <>\n",
    b"Subject: failure notice\n",
    b"Content-Type: multipart/report; boundary=b\n",
    b'Content-Type: multipart/mixed; boundary="\n',
    b"Content-Transfer-Encoding: base64\n",
    b"Content-Type: text/html; charset=utf-16\n",
    b"Content-Type: message/delivery-status\n",
    b"\n",
    b"--b\n",
    b"--b--\n",
    b"Final-Recipient: rfc822; a@b.example\n",
    b"Action: failed\n",
    b"Status: 5.1.1\n",
    b"<a@b.example>: 550 5.1.1 User unknown\n",
    b">>> RCPT To:<a@b.example>\n<<< 550 no\n",
    b"--- Below this line is a copy of the message.\n",
    b'{"notificationType":"Bounce","bounce":{"bouncedRecipients":[1,{"emailAddress":[]}]}}\n',
)


@given(st.binary(max_size=2000))
def test_any_bytes_are_parsed_without_an_error(content: bytes) -> None:
    parse(content)


@given(st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=40)), max_size=40))
def test_any_mixture_of_what_reports_are_made_of(pieces: list[bytes]) -> None:
    report = parse(b"".join(pieces))
    assert all(one.address for one in report.recipients)
    if report.kind == "other":
        assert all(one.action == "delivered" for one in report.recipients)


@given(st.text(max_size=300))
def test_words_and_masks_take_any_text(text: str) -> None:
    decode_words(text)
    mask_reply(text)


NOTE = b"From: MAILER-DAEMON@a.example\nSubject: failure notice\n"

BOMBS = {
    "nested multiparts": b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (level, level) for level in range(20_000)
    ),
    "a thousand parts": NOTE + b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 100_000,
    "a boundary of dashes": NOTE + b"Content-Type: multipart/mixed; boundary=-\n\n" + b"-" * 1_000_000,
    "parameters": NOTE + b"Content-Type: text/plain" + b';a="' * 200_000 + b"\n\nx",
    "encoded words": b"From: a@b\nSubject: " + b"=?utf-8?q?a?= " * 60_000 + b"\n\nx",
    "comments": b"From: " + b"(" * 500_000 + b"\n\nx",
    "folded header": b"Subject: a\n" + b" b\n" * 300_000,
    "addresses": NOTE + b"\n" + b"a@b.example mail to " * 50_000,
    "unclosed tags": NOTE + b"Content-Type: text/html\n\n" + b"<a " * 300_000,
    "style": NOTE + b"Content-Type: text/html\n\n" + b"<style>" * 150_000,
    "status fields": NOTE
    + b"Content-Type: message/delivery-status\n\n"
    + b"".join(b"Final-Recipient: rfc822; u%d@b.example\nAction: failed\n\n" % number for number in range(15_000)),
    "transcript": NOTE + b"\n" + b"<<< 550 user mailbox recipient address to a@b.example\n" * 20_000,
    "a line of dashes": b"From: a@b\nReturn-Path: <>\nSubject: hello\n\n" + b"-" * 100_000 + b"x\n",
    "lines of dashes": b"From: a@b\nReturn-Path: <>\nSubject: hello\n\n" + b"--a%s-x\n" % (b"-" * 60) * 10_000,
    "deep json": NOTE + b'\n{"notificationType":' + b'{"a":' * 30_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_cost_no_more_than_their_size(name: str) -> None:
    content = BOMBS[name]
    started = time.process_time()
    parse(content)
    assert time.process_time() - started < 3.0, f"{len(content)} bytes of {name}"


def test_parts_are_counted() -> None:
    assert len(walk(BOMBS["a thousand parts"].replace(b"\n", b"\r\n"))) <= MAX_PARTS
