"""Legal forms that are seldom seen (RFC 2045, 2046, 2231, 5322): each message with them is rewritten."""

import base64
import binascii

import pytest

from tests.unit.test_rewrite_message import HTML, run

HEAD = b"From: a@acme.test\r\nTo: b@x.test\r\nSubject: s\r\nMIME-Version: 1.0\r\n"

PLAIN = b"Content-Type: text/plain; charset=utf-8\r\n\r\nhello\r\n"


def html(kind: bytes = b"text/html; charset=utf-8", encoding: bytes = b"", body: bytes = HTML) -> bytes:
    field = b"Content-Transfer-Encoding: " + encoding + b"\r\n" if encoding else b""
    return b"Content-Type: " + kind + b"\r\n" + field + b"\r\n" + body


def multipart(
    boundary: bytes = b"BB",
    parameters: bytes | None = None,
    *parts: bytes,
    kind: bytes = b"multipart/mixed",
    head: bytes = HEAD,
    before: bytes = b"",
    behind: bytes = b"",
    padding: bytes = b"",
    is_closed: bool = True,
) -> bytes:
    given = b'; boundary="' + boundary + b'"' if parameters is None else parameters
    content = head + b"Content-Type: " + kind + given + b"\r\n\r\n" + before
    for part in parts or (PLAIN, html()):
        content += b"--" + boundary + padding + b"\r\n" + part + b"\r\n"
    return content + (b"--" + boundary + b"--" + padding + b"\r\n" if is_closed else b"") + behind


def beside(part: bytes) -> bytes:
    """A message with an HTML part and this one."""
    return multipart(b"BB", None, html(), part)


BOUNDARIES = (
    *(b"a b", b"=_a b c", b"'()+_,-./:=?z", b"x" * 70, b"0", b"--", b"----", b"gc0pJq0M:08jU534c0p", b"=_?:=", b"a  b"),
    *(b".", b"a:b/c?d=e,f", b"AB--"),
)

PARAMETERS = (
    (b"a b", b';\r\n boundary="a b"'),
    (b"a b", b';\r\n boundary\r\n =\r\n "a b"'),
    (b"a b", b';\r\n boundary="a\r\n b"'),
    (b"ab", b';\r\n \t \r\n boundary="ab"'),
    (b"a b", b'; boundary="a\\ b"'),
    (b"ab", b' (c) ; (d) boundary (e) = (f) "ab" (g)'),
    (b"ab", b' (c; boundary="x") ; boundary="ab" (it\'s "odd)'),
    (b"ab", b" (c (d \\) e) ) ; boundary=ab"),
    (b"ab", b";; boundary=ab;"),
    (b"ab", b'; x=""; x-y="a;b=c"; BOUNDARY=ab; type="text/html"; (c)'),
    (b"ab cd", b"; boundary*=us-ascii'en'ab%20cd"),
    (b"ab cd", b"; boundary*=''ab%20cd"),
    (b"abcd", b'; boundary*1="cd"; Boundary*0=ab'),
    (b"ab cd", b"; boundary*0*=us-ascii''ab%20 (x);\r\n (y) boundary*1=cd"),
    (b"ab cd", b"; boundary*0*=''ab; boundary*1*=%20cd"),
    (b"abcdefghijkl", b"".join(b"; boundary*%d=%c" % (number, 97 + number) for number in range(12))),
)

TYPES = (
    *(b"text/html", b"TEXT/HTML;CHARSET=UTF-8", b"  text / html  ; charset = utf-8  "),
    *(b"\r\n text/html;\r\n\tcharset=utf-8", b"(c)\r\n text/html(d);\r\n\t(e)charset(f)=(g)utf-8(h)"),
    *(b"text/html; charset*=us-ascii'en-us'utf-8", b'text/html; charset*0="ut"; charset*1="f-8"'),
    *(b'text/html; charset=""', b"text/html; charset='utf-8'", b"text/html; charset=ISO_8859-1:1987"),
)

ENCODINGS = (b"7BIT", b"8bit (c)", b"(c) 8bit", b"\r\n 7bit", b"binary")

QUOTED = binascii.b2a_qp(HTML, istext=True)

BASE64 = base64.b64encode(HTML)

BODIES = (
    (b"Quoted-Printable (c)", QUOTED),
    (b"quoted-printable", b"=\r\n".join(b"=%02X" % octet for octet in HTML[:-2]) + b"\r\n"),
    (b"quoted-printable", QUOTED.replace(b"\r\n", b" \t\r\n")),
    (b"base64", BASE64),
    (b"BASE64", b"\r\n" + b" \r\n\t".join(BASE64[at : at + 4] for at in range(0, len(BASE64), 4)) + b"\r\n\r\n"),
)

PARTS = (
    *(b"\r\nhello", b"\r\n", b"Content-Type: text/plain", b"X-Y: z\r\n\r\nhello"),
    *(b"Content-Type: x-world/x-vrml\r\n\r\nh", b"Content-Type: message/rfc822\r\n\r\n"),
    b'Content-Type: message/partial; id="x"; number=1; total=2\r\n\r\nFrom: x\r\n\r\nx',
    b'Content-Type: message/external-body; access-type=URL; URL="http://a.t/"\r\n\r\nContent-Type: text/plain\r\n\r\n',
    b"Content-Type: message/rfc822\r\n\r\n>From a@b Tue\r\nSubject: x\r\n\r\nx",
    b"Content-Type: application/x\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\nbegin 644 x\r\n#0V%T\r\n`\r\nend",
    b"Content-Type: application/pdf; name*0*=utf-8''%e2%82%ac; name*1=.pdf\r\n\r\nAA",
    b"Content-Type: application/pdf; name=\"E.pdf\"; name*=utf-8''%e2%82%ac.pdf\r\n\r\nAA",
    b'Content-Type: application/pdf; name="=?utf-8?B?w5w=?=\r\n =?utf-8?B?w5w=?="\r\n\r\nAA',
    b'Content-Type: application/pdf; name="a 5\\" (1.pdf"\r\n\r\nAA',
    b'Content-Type: application/pdf; name="\xdcber.pdf"\r\n\r\nAA',
)

LIMITS = {
    "preamble": multipart(before=b"-- BB\r\n--BBx\r\n -- BB\r\n--B\r\n\r\n"),
    "epilogue": multipart(behind=b"--BB\r\nContent-Type: text/html\r\n\r\n<a href=x>\r\n--BB--\r\n"),
    "no closing delimiter": multipart(is_closed=False),
    "no CRLF at the end": multipart()[:-2],
    "white space behind delimiters": multipart(padding=b" \t "),
    "boundary that begins with the outer one": multipart(b"AB", None, multipart(b"ABC", head=b"")),
    "boundary that begins the outer one": multipart(b"ABC", None, multipart(b"AB", head=b"")),
    "no closing delimiter inside": multipart(b"AB", None, multipart(b"CD", head=b"", is_closed=False)),
    "unknown subtype": multipart(kind=b"multipart/x-odd"),
    "white space before the colon": HEAD + html().replace(b"Content-Type:", b"CONTENT-TYPE :"),
    "digest": multipart(
        b"BB", None, html(), multipart(b"CC", None, b"\r\nSubject: a\r\n\r\nx", kind=b"multipart/digest", head=b"")
    ),
}


@pytest.mark.parametrize(
    "content",
    [
        *(pytest.param(multipart(one), id=f"boundary {one!r}") for one in BOUNDARIES),
        *(pytest.param(multipart(boundary, text), id=repr(text)) for boundary, text in PARAMETERS),
        *(pytest.param(HEAD + html(kind), id=repr(kind)) for kind in TYPES),
        *(pytest.param(HEAD + html(encoding=one), id=repr(one)) for one in ENCODINGS),
        *(pytest.param(HEAD + html(encoding=one, body=body), id=repr(body[:20])) for one, body in BODIES),
        *(pytest.param(beside(part), id=repr(part[:60])) for part in PARTS),
        *(pytest.param(content, id=name) for name, content in LIMITS.items()),
    ],
)
def test_a_legal_form_is_rewritten(content: bytes) -> None:
    result = run(content)
    assert (result.tracked_count, result.pixel, result.skipped) == (1, True, ())
