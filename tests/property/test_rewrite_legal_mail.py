"""Every mail that RFC 5322, 2045, 2046, 2183 and 2231 allow is tracked, and nothing but its HTML changes."""

import base64
import binascii
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from relay.mail.queue_id import queue_id
from relay.rewrite.message import rewrite
from relay.rewrite.mime import walk
from relay.rewrite.options import Tracking
from relay.rewrite.tokens import Keyring
from tests.property.test_rewrite_mime import any_case, blanks, boundaries, parameter

RING = Keyring((("k1", b"k" * 32),))

QUEUE_ID = queue_id(1_764_000_000.0, 1)

TRACKING = Tracking(base_url="https://t.acme.test")

HTML = b'<html><body><p>caf\xe9</p><a href="https://shop.example/a?b=1&amp;c=2">go</a></body></html>\r\n'

ENCODINGS = ["", "7bit", "8bit", "binary", "quoted-printable", "base64"]

CHARSETS = ["us-ascii", "iso-8859-1", "windows-1252", "csISOLatin1"]

NEIGHBOURS = [
    b"",
    b"\r\n",
    b"\r\nwithout a header",
    b"Content-Type: text/plain\r\n",
    b"Content-Type: text/plain; charset=utf-8 (comment)\r\n\r\ntext\r\n",
    b'Content-Type: application/pdf; name="a;b.pdf"\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n',
    b"Content-Disposition: attachment; filename*0*=utf-8''%e2%82%ac; filename*1=.txt\r\n\r\nx",
    b'Content-Type: message/rfc822\r\n\r\nSubject: x\r\nContent-Type: multipart/mixed; boundary="open\r\n\r\nx',
    b"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x\r\n\r\nFinal-Recipient: rfc822; a@b\r\n",
    b'Content-Type: multipart/digest; boundary="====="\r\n\r\n--=====\r\n\r\nSubject: y\r\n\r\ny\r\n--=====--\r\n',
]

FIELDS = ["X-Empty:\r\n", "X-Folded: a\r\n \r\n\tb\r\n", "Content-Language : en (a (nested) comment)\r\n"]


@dataclass
class Builder:
    """Draws the parts of one mail, and remembers its boundaries."""

    draw: st.DrawFn
    used: list[str] = field(default_factory=list)

    def boundary(self) -> str:
        """Return a boundary whose delimiter line is none of another one; it may begin with another one."""
        known = [one + tail for one in self.used for tail in ("x", ".b", "0")]
        found = self.draw(boundaries if not known else st.one_of(boundaries, st.sampled_from(known)))
        names = {one.rstrip("-") for one in self.used}
        while not found.rstrip("-") or found.rstrip("-") in names or len(found) > 70:
            found = f"q{len(self.used)}{found[:40]}".rstrip(" ")
            names = set(self.used)
        self.used.append(found)
        return found

    def typed(self, content_type: str, *parameters: tuple[str, str]) -> str:
        written = [one for name, value in parameters for one in parameter(self.draw, name, value)]
        main, sub = content_type.split("/")
        value = f"{self.draw(blanks)}{any_case(self.draw, main)}/{any_case(self.draw, sub)}{self.draw(blanks)}"
        value += "".join(f";{self.draw(blanks)}{one}" for one in self.draw(st.permutations(written)))
        return f"{any_case(self.draw, 'Content-Type')}:{value}\r\n"

    def html(self) -> bytes:
        encoding, charset = self.draw(st.sampled_from(ENCODINGS)), self.draw(st.sampled_from(CHARSETS))
        body = HTML
        if encoding in ("", "7bit") or charset == "us-ascii":
            body = body.replace(b"\xe9", b"e")
        if encoding == "quoted-printable":
            body = binascii.b2a_qp(body, istext=True)
            body = self.draw(st.sampled_from([body, body.replace(b"=\r\n", b"= \t\r\n"), body[:-2] + b"="]))
        elif encoding == "base64":
            width = self.draw(st.sampled_from([4, 7, 60, 76, 1000]))
            encoded = base64.b64encode(body)
            body = b"\r\n".join(encoded[at : at + width] for at in range(0, len(encoded), width))
        header = [
            self.typed("text/html", ("charset", charset)),
            *self.draw(st.lists(st.sampled_from(FIELDS), unique=True)),
        ]
        if encoding:
            header.append(
                f"Content-Transfer-Encoding:{self.draw(blanks)}{any_case(self.draw, encoding)}{self.draw(blanks)}\r\n"
            )
        if self.draw(st.booleans()):
            header.append(f"Content-Disposition:{self.draw(blanks)}{any_case(self.draw, 'inline')}\r\n")
        return "".join(self.draw(st.permutations(header))).encode("latin-1") + b"\r\n" + body

    def part(self, depth: int) -> bytes:
        if not depth:
            return self.html()
        kind, boundary = self.draw(st.sampled_from(["mixed", "alternative", "related", "x-unknown"])), self.boundary()
        inner, neighbours = self.part(depth - 1), self.draw(st.lists(st.sampled_from(NEIGHBOURS), max_size=2))
        at = 0 if kind == "related" else self.draw(st.integers(0, len(neighbours)))
        line = b"--" + boundary.encode()
        padding = st.sampled_from([b"", b" ", b"\t  "])
        body = self.draw(st.sampled_from([b"", b"\r\n", b"preamble\r\n", line + b"no\r\n"]))
        for child in (*neighbours[:at], inner, *neighbours[at:]):
            body += line + self.draw(padding) + b"\r\n" + child + b"\r\n"
        epilogue = st.sampled_from([b"\r\n", b"\r\nepilogue\r\n" + line + b"\r\n", b"\r\n\r\n"])
        body += line + b"--" + self.draw(padding) + self.draw(epilogue)
        return self.typed(f"multipart/{kind}", ("boundary", boundary)).encode("latin-1") + b"\r\n" + body


@st.composite
def mails(draw: st.DrawFn) -> bytes:
    fields = ["From: a@b.test\r\n", "To: (c) c@d.test\r\n", "MIME-Version: 1.0 (c)\r\n", "Subject:\r\n"]
    head = "".join(draw(st.permutations(fields))).encode()
    return head + Builder(draw).part(draw(st.integers(0, 3)))


@given(mails())
def test_every_legal_mail_is_tracked_and_only_its_html_changes(content: bytes) -> None:
    result = rewrite(content, TRACKING, RING, QUEUE_ID, 0)
    assert result.skipped == ()
    assert (result.tracked_count, result.pixel) == (1, True)

    (html,) = (part for part in walk(content) if part.content_type == "text/html")
    assert result.content.startswith(content[: html.start])
    assert result.content.endswith(content[html.end :])
    before, after = walk(content), walk(result.content)
    assert [part.path for part in before] == [part.path for part in after]
    changed = [
        part.path
        for part, other in zip(before, after, strict=True)
        if part.is_leaf and content[part.start : part.end] != result.content[other.start : other.end]
    ]
    assert changed == [html.path]
