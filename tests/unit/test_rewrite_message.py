"""Whole messages: what is spliced in, what stays, and why."""

import base64
import binascii
import re

import pytest

from relay.mail.queue_id import queue_id
from relay.rewrite.message import Rewritten, analyse, apply, rewrite
from relay.rewrite.options import Tracking
from relay.rewrite.tokens import Keyring, Kind, Token, verify_token

RING = Keyring((("k1", b"k" * 32),))

QUEUE_ID = queue_id(1_764_000_000.0, 1)

TRACKING = Tracking(base_url="https://t.acme.test")

HTML = b'<html><body><p>Hi</p><a href="https://shop.test/a?b=1&amp;c=2">Shop</a></body></html>\r\n'


def message(html: bytes = HTML, encoding: str = "7bit", headers: str = "", html_type: str = "text/html") -> bytes:
    if encoding == "quoted-printable":
        html = binascii.b2a_qp(html, istext=True)
    if encoding == "base64":
        html = base64.encodebytes(html).replace(b"\n", b"\r\n")
    head = f"From: a@acme.test\r\n{headers}MIME-Version: 1.0\r\nContent-Type: {html_type}; charset=utf-8\r\n"
    return head.encode() + f"Content-Transfer-Encoding: {encoding}\r\n\r\n".encode() + html


def run(content: bytes, tracking: Tracking = TRACKING) -> Rewritten:
    return rewrite(content, tracking, RING, QUEUE_ID, 2)


@pytest.mark.parametrize("encoding", ["7bit", "8bit", "binary", "quoted-printable", "base64"])
def test_the_link_and_the_pixel_carry_tokens(encoding: str) -> None:
    result = run(message(encoding=encoding))
    body = result.content.partition(b"\r\n\r\n")[2]
    if encoding == "quoted-printable":
        body = binascii.a2b_qp(body)
    if encoding == "base64":
        body = base64.b64decode(body)
    link = re.search(rb'href="https://t\.acme\.test/c/([\w-]+)"', body)
    pixel = re.search(rb'<img src="https://t\.acme\.test/o/([\w-]+)"[^<>]*></body>', body)
    target = "https://shop.test/a?b=1&c=2"
    assert link is not None
    assert pixel is not None
    assert verify_token(RING, Kind.CLICK, link[1].decode()) == Token(Kind.CLICK, QUEUE_ID, 2, target)
    assert verify_token(RING, Kind.OPEN, pixel[1].decode()) == Token(Kind.OPEN, QUEUE_ID, 2)
    assert result.pixel
    assert [(d.part, d.target, d.tracked) for d in result.links] == [("1", target, True)]
    assert result.links[0].url.endswith(link[1].decode())
    assert body.replace(pixel[0][:-7], b"").replace(link[0], b'href="https://shop.test/a?b=1&amp;c=2"') == HTML


def test_recipients_share_the_analysis() -> None:
    content = message()
    plan = analyse(content, TRACKING)
    first, second = (apply(plan, content, RING, QUEUE_ID, recipient) for recipient in (0, 1))
    assert first.content == rewrite(content, TRACKING, RING, QUEUE_ID, 0).content
    assert first.content != second.content


@pytest.mark.parametrize(
    ("tracking", "reason"),
    [
        (Tracking(), "no tracking base URL"),
        (Tracking(opens=False, clicks=False, base_url="https://t.test"), "tracking is off"),
        (Tracking(base_url='https://t.test/"'), "is not a plain http or https URL"),
        (Tracking(base_url="t.test"), "is not a plain http or https URL"),
    ],
)
def test_without_usable_switches_the_same_object_comes_back(tracking: Tracking, reason: str) -> None:
    content = message()
    result = run(content, tracking)
    assert result.content is content
    assert reason in result.skipped[0]


def test_opens_and_clicks_can_be_had_alone() -> None:
    opens = run(message(), Tracking(clicks=False, base_url="https://t.test"))
    clicks = run(message(), Tracking(opens=False, base_url="https://t.test"))
    assert b"/o/" in opens.content
    assert b"/c/" not in opens.content
    assert opens.links == ()
    assert b"/c/" in clicks.content
    assert not clicks.pixel


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (message(headers="DKIM-Signature: v=1\r\n"), "message carries a DKIM signature"),
        (message(headers="ARC-Seal: i=1\r\n"), "message carries an ARC seal"),
        (message(headers="Content-Type: text/plain\r\n"), "message is malformed: Content-Type given twice"),
        (message(headers="no field\r\n"), "message is malformed: a header line that is not a field"),
        (message(headers="X: a\nY: b\r\n"), "message is malformed: a header with bare line ends"),
        (message(headers="Content-MD5: x\r\n"), "part 1 carries a Content-MD5"),
        (message(headers="Content-Disposition: attachment\r\n"), "part 1 is an attachment"),
        (message(headers="Content-Disposition: inline; filename=a.html\r\n"), "part 1 is a named file"),
        (message(html_type="text/html; name*=utf-8''a.html"), "part 1 is a named file"),
        (message(encoding="x-uuencode"), "part 1 is not clean x-uuencode"),
        (message(html=b"<a href=3Dx>=zz", encoding="quoted-printable").replace(b"=3Dzz", b"=zz"), "not clean"),
        (message(encoding="base64").replace(b"PGh0", b"!Gh0", 1), "part 1 is not clean base64"),
        (message(html=b"<p>\0</p>"), "part 1 contains NUL"),
        (message(html=b"<p>-----BEGIN PGP MESSAGE-----</p>"), "part 1 contains inline PGP"),
        (message().replace(b"utf-8", b"utf-16"), "charset utf-16 is not read as ASCII"),
        (message(html_type="multipart/mixed; boundary=x"), "message is malformed: boundary never found"),
        (message(html_type="multipart/mixed"), "message is malformed: multipart without a boundary"),
        (message(html_type="multipart/signed; boundary=x"), "message contains multipart/signed"),
        (message(html_type="application/pkcs7-mime"), "message contains application/pkcs7-mime"),
    ],
)
def test_what_is_left_alone_says_why(content: bytes, reason: str) -> None:
    result = run(content)
    assert result.content is content
    assert reason in " / ".join(result.skipped)


def test_text_is_not_touched_unless_asked_for() -> None:
    text = message(html=b"See https://shop.test/a?b=1 (and https://shop.test/x).\r\n", html_type="text/plain")
    assert run(text).content is text
    result = run(text, Tracking(base_url="https://t.acme.test", text_links=True))
    assert [d.target for d in result.links] == ["https://shop.test/a?b=1", "https://shop.test/x"]
    assert re.fullmatch(
        rb"See https://t\.acme\.test/c/[\w-]+ \(and https://t\.acme\.test/c/[\w-]+\)\.\r\n",
        result.content.partition(b"\r\n\r\n")[2],
    )


def test_unsubscribe_urls_of_the_header_stay() -> None:
    header = "List-Unsubscribe: <mailto:u@acme.test>,\r\n <https://shop.test/a?b=1&c=2>\r\n"
    result = run(message(headers=header))
    assert [d.reason for d in result.links] == ["same as a List-Unsubscribe URL"]


def test_a_second_pass_changes_nothing() -> None:
    once = run(message())
    again = run(once.content)
    assert again.content is once.content
    assert again.skipped == ("message has its pixel already",)
    assert [d.reason for d in again.links] == ["already a tracking URL"]


def test_an_overlong_line_made_by_splicing_is_quoted() -> None:
    html = b'<p><a href="https://shop.test/' + b"a" * 940 + b'">x</a></p>\r\n'
    result = run(message(html=html))
    assert b"Content-Transfer-Encoding: quoted-printable\r\n" in result.content
    assert max(map(len, result.content.split(b"\r\n"))) <= 76
    assert b"https://t.acme.test/c/" in binascii.a2b_qp(result.content)


def test_untouched_quoted_printable_lines_stay_as_they_are() -> None:
    html = (
        b"<p>caf=e9 =C3=A9  \r\nodd=20=\r\n encoding=2E</p>\r\n"
        b'<a href=3D"https://shop.=\r\ntest/?a=3D1">x</a> =20\r\n<p>tail =\r\n</p>'
    )
    head = b"Content-Type: text/html; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    result = run(head + html)
    assert [d.target for d in result.links] == ["https://shop.test/?a=1"]
    new = result.content.removeprefix(head)
    assert new.startswith(html[: html.index(b"https")] + b"https://t.acme.test/c/")
    assert b'">x</a> =20\r\n<p>tail =\r\n</p>' in new
    assert max(map(len, new.split(b"\r\n"))) <= 76


def test_quoted_printable_may_end_in_a_padded_soft_break() -> None:
    head = b"Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    new = run(head + b'<a href=3D"https://shop.test/">x</a>= \t').content
    assert new.startswith(head + b'<a href=3D"https://t.acme.test/c/')
    assert new.endswith(b'">= \t')


@pytest.mark.parametrize("charset", ["ISO_8859-1:1987", "iso_8859-15", "l1", "csISOLatin1", "IBM850", "windows_1252"])
def test_other_names_of_charsets_that_contain_ascii(charset: str) -> None:
    assert run(message().replace(b"utf-8", charset.encode())).links


def test_base64_keeps_its_width_and_its_ending() -> None:
    encoded = base64.b64encode(HTML * 5)
    lines = b"\r\n".join(encoded[at : at + 60] for at in range(0, len(encoded), 60))
    head = b"Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    new = run(head + lines).content.removeprefix(head)
    assert {len(line) for line in new.split(b"\r\n")[:-1]} == {60}
    assert not new.endswith(b"\r\n")


@pytest.mark.parametrize("charset", ["foo-bar", "binary", "x-none", "utf-8-sig", "iso-2022-kr", "iso-2022-cn"])
def test_ascii_alone_is_read_in_a_charset_that_gives_it_no_other_meaning(charset: str) -> None:
    result = run(message().replace(b"utf-8", charset.encode()))
    assert result.links[0].tracked
    assert result.pixel


@pytest.mark.parametrize(
    ("charset", "html"),
    [
        ("foo-bar", "<p>gr\u00fc\u00df</p>".encode("latin-1")),
        ("iso-2022-kr", b"<p>\x1b$)C\x0e>H3g</p>"),
        ("foo-bar", b'<p>\x1b$B$"</p>'),
        ("utf-7", b"<p>+ADw-b+AD4-</p>"),
        ("utf-7", b"<p>x</p>"),
        ("hz-gb-2312", b"<p>~{<:Ky2;~}</p>"),
        ("hz-gb-2312", b"<p>x</p>"),
        ("ibm037", b"<p>x</p>"),
        ("cp1047", b"<p>x</p>"),
        ("ebcdic-foo", b"<p>x</p>"),
        ("utf-16", b"<p>x</p>"),
        ("unicode_escape", b"<p>\\x41</p>"),
    ],
)
def test_other_octets_of_such_a_charset_stay(charset: str, html: bytes) -> None:
    content = message(html + HTML).replace(b"utf-8", charset.encode())
    assert run(content).content is content


def test_iso_2022_kr_is_read_through_its_shifts() -> None:
    text = "<p>\uc548\ub155</p><a href='https://shop.test/'>\uc774</a>".encode("iso2022_kr")
    result = run(b"Content-Type: text/html; charset=ISO-2022-KR\r\n\r\n" + text)
    assert [link.target for link in result.links] == ["https://shop.test/"]
    assert "\uc774</a>" in result.content.partition(b"\r\n\r\n")[2].decode("iso2022_kr")


@pytest.mark.parametrize("charset", ["csISO2022JP", "iso-2022-jp-ms", "cp50221", "iso-2022-jp-2004"])
def test_other_names_of_iso_2022_jp(charset: str) -> None:
    text = "<p>\u3042</p><a href='https://shop.test/'>\u305f</a>".encode("iso-2022-jp")
    head = b"Content-Type: text/html; charset=" + charset.encode() + b"\r\n\r\n"
    assert run(head + text).tracked_count == 1


def test_iso_2022_jp_is_read_through_its_shifts() -> None:
    text = "<p>\u3042\u3044</p><a href='https://shop.test/'>\u305f\u3060</a>".encode("iso-2022-jp")
    head = b"Content-Type: text/html; charset=ISO-2022-JP\r\n\r\n"
    result = run(head + text + b"\r\n")
    assert [d.tracked for d in result.links] == [True]
    assert "\u305f\u3060" in result.content.decode("iso-2022-jp")
    shifted = "<a href='https://shop.test/\u3042'>a</a><a href='https://shop.test/'>b</a>".encode("iso-2022-jp")
    assert [d.tracked for d in run(head + shifted + b"\r\n").links] == [False, True]


def test_the_pixel_can_stand_first() -> None:
    result = run(message(), Tracking(base_url="https://t.acme.test", pixel="start"))
    assert re.search(rb"<body><img src=[^<>]+><p>Hi", result.content)


def test_one_pixel_in_the_first_of_several_parts() -> None:
    part = b"--x\r\nContent-Type: text/html\r\n\r\n" + HTML
    content = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + part + part + b"--x--\r\n"
    result = run(content)
    assert [d.part for d in result.links] == ["1", "2"]
    assert result.content.count(b"/o/") == 1
    assert result.content.index(b"/o/") < result.content.index(b"--x\r\nContent", 60)


def test_a_bad_queue_id_is_the_callers_fault() -> None:
    with pytest.raises(ValueError, match="not a queue id"):
        rewrite(message(), TRACKING, RING, "nonsense", 0)
