"""What holds for every input: nothing raises, nothing else changes, twice is once, and time is linear."""

import base64
import binascii
import re
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay.mail.queue_id import RANDOM_SPACE, queue_id
from relay.rewrite.encoding import QuotedPrintable, adapt_to_next_hop, quote
from relay.rewrite.message import analyse, apply, rewrite
from relay.rewrite.mime import walk
from relay.rewrite.options import Tracking
from relay.rewrite.text_parts import Splice
from relay.rewrite.tokens import (
    ADDRESS_KINDS,
    URL_KINDS,
    Keyring,
    Kind,
    Token,
    sign_address_token,
    sign_token,
    verify_address_token,
    verify_token,
)
from tests.growth import assert_linear
from tests.property.message_pieces import HTML, MIME_PIECES

RING = Keyring((("k1", b"k" * 32), ("k0", b"0" * 32)))

QUEUE_ID = queue_id(1_764_000_000.0, 1)

TRACKING = Tracking(base_url="https://t.acme.test", text_links=True)

ENCODINGS = st.sampled_from(["7bit", "8bit", "quoted-printable", "base64"])


def encoded(html: str, encoding: str) -> bytes:
    body = html.encode()
    if encoding == "quoted-printable":
        body = binascii.b2a_qp(b"\r\n" + body, istext=True)
    if encoding == "base64":
        body = base64.encodebytes(body).replace(b"\n", b"\r\n")
    head = f"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return head.encode() + body


@given(st.binary(max_size=300) | st.lists(MIME_PIECES, max_size=30).map(b"".join), st.booleans())
def test_nothing_raises_and_nothing_is_lost(content: bytes, eight_bit: bool) -> None:
    result = rewrite(content, TRACKING, RING, QUEUE_ID, 0)
    if not any(link.tracked for link in result.links) and not result.pixel:
        assert result.content is content
    adapt_to_next_hop(result.content, eight_bit)


@given(HTML, ENCODINGS)
def test_undoing_the_splices_gives_back_the_original(html: str, encoding: str) -> None:
    content = encoded(html, encoding)
    result = rewrite(content, TRACKING, RING, QUEUE_ID, 7)
    before, after = (decoded(text) for text in (content, result.content))
    after = re.sub(rb'<img src="https://t\.acme\.test/o/[\w-]{36,}"[^<>]*>', b"", after)
    urls = iter([link.url.encode() for link in result.links if link.tracked])
    for splice in link_splices(before):
        url = next(urls)
        at = after.index(url)
        after = after[:at] + before[splice.start : splice.end] + after[at + len(url) :]
    assert after == before


def decoded(content: bytes) -> bytes:
    part = walk(content)[0]
    body = content[part.body : part.end]
    if part.encoding == "quoted-printable":
        return binascii.a2b_qp(body)
    return base64.b64decode(body) if part.encoding == "base64" else body


def link_splices(body: bytes) -> list[Splice]:
    """The splices of the links in this HTML, by their offsets in it."""
    head = b"Content-Type: text/html; charset=utf-8\r\n\r\n"
    splices = [splice for part in analyse(head + body, TRACKING).parts for splice in part.splices]
    return [s._replace(start=s.start - len(head), end=s.end - len(head)) for s in splices if s.target is not None]


@given(HTML, ENCODINGS)
def test_a_second_pass_changes_nothing(html: str, encoding: str) -> None:
    once = rewrite(encoded(html, encoding), TRACKING, RING, QUEUE_ID, 0)
    again = rewrite(once.content, TRACKING, RING, QUEUE_ID, 1)
    if once.pixel:
        assert again.content is once.content


@given(HTML, ENCODINGS)
def test_a_plan_does_the_same_for_all_recipients(html: str, encoding: str) -> None:
    content = encoded(html, encoding)
    plan = analyse(content, TRACKING)
    for recipient in (0, 300):
        assert apply(plan, content, RING, QUEUE_ID, recipient) == rewrite(content, TRACKING, RING, QUEUE_ID, recipient)


@given(
    st.sampled_from(sorted(URL_KINDS)),
    st.floats(0, 3.5e10),
    st.integers(0, RANDOM_SPACE - 1),
    st.integers(0, 2**28 - 1),
    st.text(st.characters(), max_size=60),
)
def test_url_tokens_come_back(kind: Kind, moment: float, serial: int, recipient: int, target: str) -> None:
    token = Token(kind, queue_id(moment, serial), recipient, target if kind is Kind.CLICK else "")
    text = sign_token(RING, token)
    assert re.fullmatch(r"[\w-]+", text, re.ASCII)
    assert [verify_token(RING, other, text) for other in Kind] == [token if other is kind else None for other in Kind]


@given(st.sampled_from(sorted(ADDRESS_KINDS)), st.integers(0, 2**28 - 1), st.randoms(use_true_random=False))
def test_address_tokens_come_back(kind: Kind, recipient: int, random: Random) -> None:
    token = Token(kind, QUEUE_ID, recipient)
    text = sign_address_token(RING, token)
    mixed = "".join(random.choice((char, char.upper())) for char in text)
    assert len(text) <= 60
    assert verify_address_token(RING, kind, mixed) == token


@given(st.text(st.characters(), max_size=80) | st.text("abcdefghijklmnopqrstuvwxyzABCXYZ234567-_", max_size=80))
def test_made_up_tokens_are_refused(text: str) -> None:
    assert all(verify_token(RING, kind, text) is None for kind in Kind)
    assert all(verify_address_token(RING, kind, text) is None for kind in Kind)


@given(
    st.lists(
        st.sampled_from([b"=3D", b"=C3=A9", b"ab", b" ", b"=\r\n", b"=  \r\n", b"\r\n", b" \r\n", b"."]), max_size=40
    ).map(b"".join)
)
@example(b"")
@example(b"a=")
def test_quoted_printable_offsets_lead_back(body: bytes) -> None:
    quoted = QuotedPrintable(body)
    assert quoted.decoded is not None
    for offset, byte in enumerate(quoted.decoded):
        token = body[quoted.start_of(offset) : quoted.end_of(offset + 1)]
        assert token == bytes([byte]) or token.upper() == b"=%02X" % byte


@given(st.binary(max_size=300), st.integers(0, 90), st.integers(0, 90))
def test_quoted_text_decodes_to_itself_in_short_lines(text: bytes, column: int, rest: int) -> None:
    out, behind = quote(text, column, rest)
    assert binascii.a2b_qp(out) == text
    lines = out.split(b"\r\n")
    assert all(len(line) <= 76 for line in lines[1:])
    assert len(lines) == 1 or column + len(lines[0]) <= max(76, column + 1)
    assert behind == (column + len(out) if len(lines) == 1 else len(lines[-1]))


LINK = b'<a href="https://x.test/?a=1&amp;b=2">x</a>\r\n'

HOSTILE = {
    "links": LINK,
    "deep": b"<div><table><tr><td>\r\n",
    "attributes": b"<a a=\"1\" b='2' c=3 d e = f / g>\r\n",
    "one tag": b" a=b",
    "open quotes": b'<a href="x\r\n',
    "comments": b"<!--[if mso]>\r\n",
    "dashes": b"<!-- - -- --- \r\n",
    "raw text": b"<title><style><script><!--\r\n",
    "foreign": b"<svg><math><![cdata[\r\n",
    "formatting": b"<b><i>\r\n",
    "open elements": b"<a><select><object>\r\n",
    "closed elements": b"</select></object></a>\r\n",
    "references": b'<a href="https://x.test/&aaaaaaaaaaaaaaaaa&#99999">\r\n',
    "spaces": b"<a           \r\n",
    "slashes": b"</////\r\n",
    "less-than": b"<<<<<<\r\n",
    "visible": b'<a href="https://x.test/">www.x.test<!--\r\n',
    "percent": b'<a href="https://x.test/%41%41%41%4\r\n',
    "boundaries": b"--x\r\n--x-\r\n",
}


def rewritten(content: bytes) -> bytes:
    return adapt_to_next_hop(rewrite(content, TRACKING, RING, QUEUE_ID, 0).content, eight_bit=False)


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("encoding", [b"8bit", b"quoted-printable"])
def test_time_is_linear(name: str, encoding: bytes) -> None:
    head = b"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: " + encoding + b"\r\n\r\n<p>"
    piece = HOSTILE[name].replace(b"=", b"=3D") if encoding != b"8bit" else HOSTILE[name]
    assert_linear(rewritten, lambda times: head + piece * times, 200_000 // len(piece))


def test_a_hundred_thousand_links_and_deep_nesting() -> None:
    head = b"Content-Type: text/html; charset=utf-8\r\n\r\n"
    result = rewrite(head + LINK * 100_000, TRACKING, RING, QUEUE_ID, 0)
    assert len(result.links) == 100_000
    assert all(link.tracked for link in result.links)
    assert rewrite(head + b"<div><table>" * 10_000 + LINK, TRACKING, RING, QUEUE_ID, 0).links[0].tracked


@pytest.mark.parametrize(
    "structure",
    [
        lambda n: b"".join(
            b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (i, i) for i in range(n // 10)
        ),
        lambda n: b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--x\r\n\r\n" * n,
        lambda n: b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--x-\r\n" * n,
        lambda n: b"Content-Type: text/html; " + b'a="\\' * n + b"\r\n\r\n",
        lambda n: b"Content-Type: text/html; " + b"((" * n + b"\r\n\r\n",
        lambda n: b"Content-Type: text/html; " + b"a;" * n + b"\r\n\r\n",
        lambda n: b"X: a\r\n" * n + b"\r\n",
        lambda n: b"Content-Type: text/html\r\n\r\n" + b"<table>" * n + b"<a></a>" * n,
        lambda n: b"Content-Type: text/html\r\n\r\n<select><object>" + b"<button>" * n + b"</select>" * n,
        lambda n: b"Content-Type: text/html\r\n\r\n<p>" + b"<b>" * n + b"</body>" * n,
        lambda n: b"Content-Type: text/html\r\n\r\n" + b"<a href=http://x.test>" * n + b"<!--[if x]>-->" * n,
    ],
)
def test_hostile_structure_takes_linear_time(structure: Callable[[int], bytes]) -> None:
    assert_linear(rewritten, structure, 10_000)
