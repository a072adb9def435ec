"""Placeholders of unsubscribe links: every spelling, part and encoding; everything else keeps its bytes."""

import base64
import binascii
import email
import time
from email.policy import default
from random import Random

import pytest

from relay.rewrite.fast_path import holds_name
from relay.rewrite.mime import walk
from relay.rewrite.placeholder_spellings import holds_name_twin, placeholder_ranges
from relay.rewrite.placeholders import Placeholders, find_placeholders, replace_placeholders

URL = b"https://t.acme.test/u/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBk"

SPELLINGS = [
    b"{{unsubscribe_url}}",
    b"{{ unsubscribe_url }}",
    b"{{\r\nunsubscribe_url\r\n}}",
    b"{{{unsubscribe_url}}}",
    b"{{{ pm:unsubscribe_url }}}",
    b"{{pm:unsubscribe_url}}",
    b"%unsubscribe_url%",
    b"%%unsubscribe_url%%",
    b"<%asm_group_unsubscribe_raw_url%>",
    b"<% asm_group_unsubscribe_raw_url %>",
    b"&lt;%asm_group_unsubscribe_raw_url%&gt;",
    b"*|UNSUB|*",
    b"*|unsub|*",
    b"*| UNSUB |*",
    b"*%7CUNSUB%7C*",
    b"%2A%7CUNSUB%7C%2A",
    b"%7B%7Bunsubscribe_url%7D%7D",
    b"%7b%7b%20unsubscribe%5Furl%20%7d%7d",
    b"%25unsubscribe_url%25",
    b"%3C%25asm_group_unsubscribe_raw_url%25%3E",
    b"&#123;&#123;unsubscribe_url&#125;&#125;",
    b"&lcub;&lcub;&nbsp;unsubscribe&lowbar;url&#xA0;&rcub;&rcub;",
    b"{{\xc2\xa0unsubscribe_url\xc2\xa0}}",
    b"http://{{unsubscribe_url}}",
    b"https://*|UNSUB|*",
    b"http:&#47;&#47;%7B%7Bunsubscribe_url%7D%7D",
]

OTHERS = [
    b"unsubscribe_url",
    b"{unsubscribe_url}",
    b"{{unsubscribe}}",
    b"{{ user.unsubscribe_url }}",
    b"{{unsubscribe_url_2}}",
    b"unsubscribe",
    b"*UNSUB*",
    b"https://x.test/unsubscribe_url?x",
]


def message(body: bytes, encoding: str = "8bit", kind: str = "text/html", fields: bytes = b"") -> bytes:
    head = f"Content-Type: {kind}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n".encode()
    return b"From: a@acme.test\r\n" + fields + head + b"\r\n" + encoded(body, encoding)


def encoded(body: bytes, encoding: str) -> bytes:
    if encoding == "quoted-printable":
        return binascii.b2a_qp(body, istext=True)
    return base64.encodebytes(body).replace(b"\n", b"\r\n") if encoding == "base64" else body


def replaced(content: bytes) -> tuple[bytes, int]:
    return replace_placeholders(content, walk(content), URL)


def decoded(content: bytes) -> bytes:
    part = email.message_from_bytes(content, policy=default).get_payload(decode=True)
    assert isinstance(part, bytes)
    return part


@pytest.mark.parametrize("encoding", ["8bit", "quoted-printable", "base64"])
@pytest.mark.parametrize("kind", ["text/html", "text/plain"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_in_every_encoding(spelling: bytes, kind: str, encoding: str) -> None:
    around = b'<p>Hello, M\xc3\xbcller</p>\r\n<a href="%s">Leave</a>\r\n' + b"x" * 300 + b"\r\n%s.\r\n"
    content = message(around % (spelling, spelling), encoding, kind)
    assert find_placeholders(content, walk(content)) == Placeholders(found=True)
    done, count = replaced(content)
    assert count == 2
    assert decoded(done) == around % (URL, URL)
    assert encoding != "quoted-printable" or all(
        len(line) <= 76 for line in done.partition(b"\r\n\r\n")[2].split(b"\r\n")
    )


@pytest.mark.parametrize("text", OTHERS)
def test_other_texts_keep_their_bytes(text: bytes) -> None:
    content = message(b'<a href="' + text + b'">x</a>\r\n')
    assert find_placeholders(content, walk(content)) == Placeholders()
    done, count = replaced(content)
    assert done is content
    assert count == 0


@pytest.mark.parametrize("at", range(1, 20))
def test_a_placeholder_across_a_soft_line_break(at: int) -> None:
    name = b"{{unsubscribe_url}}"
    body = b'<a href=3D"' + name[:at] + b"=\r\n" + name[at:] + b'">x</a>\r\n'
    head = b"Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    content = b"From: a@acme.test\r\n" + head + body
    assert find_placeholders(content, walk(content)).found
    assert decoded(replaced(content)[0]) == b'<a href="' + URL + b'">x</a>\r\n'


def test_escaped_octets_of_quoted_printable() -> None:
    body = b"=7B=7Bunsubscribe=5Furl=7D=7D\r\n*=7CUNSUB=7C*\r\n"
    head = b"Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    assert decoded(replaced(b"From: a@acme.test\r\n" + head + body)[0]) == URL + b"\r\n" + URL + b"\r\n"


def test_all_text_parts_of_a_message_and_no_other_octet() -> None:
    plain = b"Content-Type: text/plain\r\n\r\nLeave: %unsubscribe_url%\r\n"
    html = b"Content-Type: text/html\r\n\r\n<a href='{{unsubscribe_url}}'>x</a> {{unsubscribe_url}}\r\n"
    image = b"Content-Type: image/gif\r\nContent-Transfer-Encoding: base64\r\n\r\nR0lGODlhAQABAAAAACw=\r\n"
    head = b"From: a@acme.test\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    content = head + b"--b\r\n" + plain + b"--b\r\n" + html + b"--b\r\n" + image + b"--b--\r\n"
    done, count = replaced(content)
    assert count == 3
    assert done == content.replace(b"%unsubscribe_url%", URL).replace(b"{{unsubscribe_url}}", URL)


def test_a_line_that_becomes_too_long_is_encoded_anew() -> None:
    done, _ = replaced(message(b"x" * 950 + b"{{unsubscribe_url}}\r\n", "7bit", "text/plain"))
    assert max(map(len, done.split(b"\r\n"))) <= 76
    assert decoded(done) == b"x" * 950 + URL + b"\r\n"


def test_list_unsubscribe_with_a_placeholder() -> None:
    content = message(b"Hello\r\n", fields=b"List-Unsubscribe: <mailto:a@acme.test>,\r\n\t<%unsubscribe_url%>\r\n")
    assert find_placeholders(content, walk(content)).found
    done, count = replaced(content)
    assert (done, count) == (content.replace(b"%unsubscribe_url%", URL), 1)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (
            message(b"{{unsubscribe_url}}\r\n", fields=b"DKIM-Signature: v=1; d=acme.test\r\n"),
            "message carries a DKIM signature",
        ),
        (
            message(b"{{unsubscribe_url}}\r\n", fields=b"Content-Disposition: attachment; filename=a.html\r\n"),
            "part 1 is an attachment",
        ),
        (
            message(b"{{unsubscribe_url}}\r\n").replace(b"charset=utf-8", b"charset=utf-7"),
            "part 1 charset utf-7 is not read as ASCII",
        ),
    ],
)
def test_what_may_not_be_changed_is_kept_with_the_reason(content: bytes, reason: str) -> None:
    assert find_placeholders(content, walk(content)) == Placeholders(kept=(reason,))
    assert replaced(content) == (content, 0)


def test_the_name_is_found_like_the_twin_finds_it() -> None:
    random = Random(1)
    pieces = [
        b"n",
        b"s",
        b"ub",
        b"UB",
        b"scribe",
        b"nsub",
        b"=\r\n",
        b"=",
        b"\r\n",
        b"N",
        b"x",
        b"_",
        b"%",
        b"|",
        b"\xc2",
        b"Scribe",
    ]
    for _ in range(20_000):
        body = b"".join(random.choice(pieces) for _ in range(random.randint(0, 10)))
        assert holds_name(body) == holds_name_twin(body), body


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_has_the_name(spelling: bytes) -> None:
    for encoding in ("8bit", "quoted-printable"):
        assert holds_name(encoded(spelling, encoding)), encoding


def test_hostile_texts_take_no_time() -> None:
    started = time.process_time()
    for text in (
        b"_unsubscribe_url" * 60_000,
        b"{" * 500_000 + b"unsubscribe_url",
        b"{{  " * 5_000 + b" unsubscribe_url" * 5_000,
    ):
        placeholder_ranges(text)
    assert time.process_time() - started < 3.0
