"""The compiled functions of `relay.mail` return what their twins in Python return, for any octets."""

from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.mail.dot_stuffing import decode_dots, find_dot_line, find_end
from relay.mail.native import IS_COMPILED, native
from relay.rewrite import mime
from tests.growth import assert_linear
from tests.native.twins import (
    golden_messages,
    mail_disagreement,
    request_disagreement,
    requests,
    token_disagreement,
    url_tokens,
)

pytestmark = pytest.mark.skipif(not IS_COMPILED, reason="the compiled code is not built: make native")

PIECES = [
    b"\r\n",
    b"\r",
    b"\n",
    b" ",
    b"\t",
    b".",
    b":",
    b"a",
    b"Name:",
    b"X-Y :",
    b"       ",
    b"\r\n\r\n",
    b"\xff",
    b"\0",
    b"-",
    b"\n--a",
    b"x" * 500,
]
DASHES = st.lists(
    st.sampled_from([b"-", b"--", b"\n", b"\r\n", b"\n--", b"\n--b", b"\n--b-", b"\n--bb", b"x", b"-" * 40])
)
OCTETS = st.lists(st.sampled_from([*PIECES, b"eight or more octets"]), max_size=60).map(b"".join) | st.binary()


@given(DASHES.map(b"".join), st.sampled_from([b"b", b"-", b"b-b", b"bb--", b"-" * 30]), st.data())
def test_both_forms_find_the_same_delimiter_among_dashes(content: bytes, boundary: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(0, len(content)))
    wanted = content.find(b"\n--" + boundary, start, end)
    assert native.find_delimiter(content, b"\n--" + boundary, start, end) == wanted


@pytest.mark.parametrize("unit", [b"-", b"\n-", b"\n--", b"\n--boundar", b"--boundary", b"\n--\r\n--boundary"])
@pytest.mark.parametrize("compiled", [True, False])
def test_the_parts_of_a_message_full_of_dashes_take_linear_time(
    unit: bytes, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mime, "IS_COMPILED", compiled)
    header = b"Content-Type: multipart/mixed; boundary=boundary-\r\n\r\n--boundary-\r\n"
    assert_linear(mime.walk, lambda times: header + unit * times, 3_000_000 // len(unit))


@given(OCTETS)
def test_both_forms_agree_about_any_octets(content: bytes) -> None:
    assert mail_disagreement(content) == ""


def test_both_forms_agree_about_the_golden_messages() -> None:
    assert [mail_disagreement(content) for content in golden_messages() if mail_disagreement(content)] == []


@pytest.mark.parametrize("blank", [b" ", b"\t", b"  ", b" \r\n", b"\t\r\n", b" \n", b"\r\n", b"\r\n\r\n"])
def test_a_blank_at_any_offset(blank: bytes) -> None:
    for offset in range(140):
        for end in (b"\r\n", b"", b" ", b"\r\n\r\n"):
            content = b"x" * offset + blank + b"y" * (70 - offset % 70) + end
            assert mail_disagreement(content) == "", content


def test_ordinary_bodies_are_relaxed() -> None:
    assert native.is_relaxed_body(b"A: b\r\n\r\nOne line of words, longer than a block.\r\n\r\nTwo\r\n", 8)
    assert not native.is_relaxed_body(b"Two  blanks\r\n", 0)
    assert not native.is_relaxed_body(b"No line end", 0)


@pytest.mark.parametrize("length", range(990, 1005))
def test_a_line_of_any_length(length: int) -> None:
    for content in (
        b"x" * length,
        b"x" * length + b"\r\n",
        b"a\r\n" + b"x" * length + b"\n",
        b"\n" * 1000 + b"x" * length,
    ):
        assert mail_disagreement(content) == ""


def test_dots_are_removed_unless_a_line_end_is_another_one() -> None:
    assert native.decode_dots(b"a\r\n..b\r\n.c\r\n", 100) == b"a\r\n.b\r\nc\r\n"
    assert native.decode_dots(b"a\r\n..b\r\n.c\r\n", 3) == b"a\r\n"
    assert native.decode_dots(b"a\nb\r\n", 5) is None
    assert native.decode_dots(b"a\rb\r\n", 5) is None


@given(
    st.lists(st.sampled_from([b"\r", b"\n", b".", b"\r\n", b"\r\n.", b"\r\n.\r\n", b"a"])).map(b"".join),
    st.integers(0, 40),
)
def test_both_forms_agree_about_the_end_and_the_dots_of_any_content(raw: bytes, stop: int) -> None:
    assert native.find_end(raw) == find_end(raw)
    assert native.decode_dots(raw, stop) in (None, decode_dots(raw, stop))
    for content in (raw, b"a" * stop + raw, b"a" * stop + raw + b"a" * 40):
        assert native.find_dot_line(content) == find_dot_line(content)


LETTERS = st.characters(min_codepoint=1, max_codepoint=0x17F) | st.sampled_from("Aa0-_=+/")


@given(st.sampled_from(list(url_tokens())), st.integers(0, 60), st.integers(0, 3), st.text(LETTERS, max_size=4))
def test_a_url_token_with_any_change(token: str, at: int, removed: int, put_in: str) -> None:
    assert not token_disagreement(token)
    assert not token_disagreement(token[:at] + put_in + token[at + removed :])


@given(st.binary(min_size=20, max_size=40) | st.binary(max_size=20).map(lambda end: b"m" * 16 + b"t" + end))
def test_any_octets_as_a_url_token(octets: bytes) -> None:
    encoded = urlsafe_b64encode(octets).decode()
    for text in (encoded, encoded.rstrip("=")):
        assert not token_disagreement(text)


REQUEST_PIECES = [
    b"\r\n",
    b"\r",
    b"\r\n\r\n",
    b" ",
    b" HTTP/1.1\r\n",
    b"\r\nX-Forwarded-For: ",
    b"x-forwarded-FOR: 192.0.2.1",
    b"\n",
    b"GET /o/",
    b"\x7f",
    b"\xc3",
]


@given(
    st.sampled_from(list(requests())),
    st.integers(0, 160),
    st.integers(0, 30),
    st.lists(st.sampled_from(REQUEST_PIECES), max_size=3).map(b"".join),
)
def test_a_request_with_any_change(request: bytes, at: int, removed: int, put_in: bytes) -> None:
    assert not request_disagreement(request)
    assert not request_disagreement(request[:at] + put_in + request[at + removed :])


@given(st.lists(st.sampled_from([*REQUEST_PIECES, b"a", b"GET /c/"]), max_size=12).map(b"".join))
def test_any_octets_as_a_request(octets: bytes) -> None:
    assert not request_disagreement(octets)
    assert not request_disagreement(b"GET /c/" + octets + b"\r\n\r\n")
