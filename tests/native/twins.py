"""The compiled code beside its Python twins: what is given to both, and whether they agree."""

import base64
import binascii
from collections.abc import Iterator
from pathlib import Path
from random import Random

from relay.mail.dot_stuffing import decode_dots, find_dot_line, find_end
from relay.mail.header_lines import LINE_LIMIT
from relay.mail.headers import body_start, read_fields
from relay.mail.native import native
from relay.mailauth.dkim_sign import relaxed_body, relaxed_header_twin
from relay.rewrite.encoding import has_long_line_twin
from relay.rewrite.fast_path import analyse_fast, apply_fast, holds_name
from relay.rewrite.message import rewrite
from relay.rewrite.mime import walk
from relay.rewrite.options import Tracking
from relay.rewrite.placeholder_spellings import holds_name_twin
from relay.rewrite.token_parts import base64url_twin, read_url_token_twin
from relay.rewrite.tokens import Keyring, Kind, Token, new_key, parse_keyring, sign_token
from relay.tracker.fast_path import MAX_REQUEST, split_request_twin

RING = Keyring((("k1", b"k" * 32),))
QUEUE_ID = "0123456789ABCD"
BASE = "https://t.acme.test"

SWITCHES = {
    "all": Tracking(base_url=BASE),
    "clicks": Tracking(base_url=BASE, opens=False),
    "opens": Tracking(base_url=BASE, clicks=False),
    "pixel at the start": Tracking(base_url="http://T.acme.test:8080/x/", pixel="start"),
    "excluded hosts": Tracking(base_url=BASE, exclude_hosts=("*.example.com", "x.test")),
    "text links": Tracking(base_url=BASE, text_links=True),
    "sensitive and visible": Tracking(base_url=BASE, skip_sensitive=False, skip_visible_urls=False),
    "unsubscribe": Tracking(base_url=BASE, skip_unsubscribe=False),
}

ENCODINGS = ("7bit", "8bit", "quoted-printable", "base64")

_FRAGMENTS = [
    *rb"""<|>|"|'|=|/|=3D|<a href=|</a>|<!--|-->|--!>|<style>|</style>|<svg>|</svg>|<math>|<script>
|</script>|&amp;|&|&#38;|%zz|%41|<table>|</table>|</body>|</html>|<html>|<head>|</head>|<body>
|<body class=x>|<b>|<i>|<font size=1>|</b>|=C3=A9|=00|http://x.test/p?login=abcdef1234567890
| href="https://a.test/"|<noscript>|</noscript>|<template>|</template>|<option>|<!--[if mso]>|<![endif]-->
|<!--[if !mso]><!-->|<!--<![endif]-->|<v:rect href="https://v.test/x">|]|<!DOCTYPE html>|<?x?>|</|track
|clicktracking=off|data-relay-track="off"|-----BEGIN PGP|<p>.|<textarea>|</textarea>|<br/ href=x>|</br>|0
|=2E|@|:99999/|.|<a HREF = 'http://b.test/x y'>|<area href=https://c.test/?a=1&amp;b=2>|<pre>|<listing>
|<frameset>|<select>|</select>|<title>|</title>|mailto:|javascript:|http:|https://|HTTPS://0x7f.1/
|.example.com|https://t.acme.test/|www.acme.test/|unsubscribe|Opt-Out|abmelden|&#117;nsub|unsub/|%7Bunsub
|{{unsubscribe_url}}|*|UNSUB|""".replace(b"\n|", b"|").split(b"|"),
    *(b"\r\n", b"=\r\n", b"= \r\n", b"\t", b" \r\n", b"\n", b"\r", b"\0", b"\x0c", b"\xff", b"\xef\xbb\xbf"),
    b"<a\r\nhref\r\n=\r\n'http://d.test'>",
    *(text.encode() for text in ("Отписаться", "ПОДПИСКА", "退订", "désabonner", "%D0%BE%D1%82%D0%BF%D0%B8")),
]


def disagreement(content: bytes, tracking: Tracking) -> str | None:
    """Return where twin and compiled code differ, "" when they agree, None when the fast path left it to the twin."""
    middle = len(content) // 3, len(content) - len(content) // 5
    if holds_name(content) != holds_name_twin(content) or holds_name(content, *middle) != holds_name_twin(
        content[slice(*middle)]
    ):
        return "holds_name"
    plan = analyse_fast(content, tracking, walk(content))
    fast = None if plan is None else apply_fast(plan, content, RING, QUEUE_ID, 5)
    if fast is None:
        return None
    slow = rewrite(content, tracking, RING, QUEUE_ID, 5)
    wanted = (slow.pixel, len(slow.links), sum(link.tracked for link in slow.links), slow.skipped)
    noted = (fast.pixel, fast.link_count, fast.tracked_count, ())
    if noted != wanted:
        return f"notes: {noted}, the twin has {wanted}"
    return "" if fast.content == slow.content else "content"


def mail_disagreement(content: bytes) -> str:
    """Return which compiled function of `relay.mail` differs from its twin, "" when none does."""
    start, size = body_start(content), len(content)
    made = native.header_fields(content, 0, start, tuple)
    if made != [tuple(field) for field in read_fields(content, 0, start)]:
        return "header_fields"
    for offset in (0, start, size):
        name, value = content[:5], content[offset:]
        if native.relaxed_header(name, value) != relaxed_header_twin(name, value):
            return "relaxed_header"
        if native.relaxed_body(content, offset) != relaxed_body(content[offset:]):
            return "relaxed_body"
        if native.is_relaxed_body(content, offset) and relaxed_body(content[offset:]) != content[offset:]:
            return "is_relaxed_body"
        for end in (size, size // 2):
            if native.find_delimiter(content, b"\n--a", offset, end) != content.find(b"\n--a", offset, end):
                return "find_delimiter"
            if native.has_long_line(content, offset, end, LINE_LIMIT) != has_long_line_twin(content, offset, end):
                return "has_long_line"
    if native.find_dot_line(content) != find_dot_line(content):
        return "find_dot_line"
    if native.find_end(content) != find_end(content):
        return "find_end"
    for stop in (start, len(content)):
        if native.decode_dots(content, stop) not in (None, decode_dots(content, stop)):
            return "decode_dots"
    return ""


def token_disagreement(text: str) -> bool:
    """Whether the compiled reading of a URL token differs from its twin."""
    octets = text.encode("utf-8", "surrogatepass")
    return native.read_url_token(text) != read_url_token_twin(text) or native.base64url(octets) != base64url_twin(
        octets
    )


def request_disagreement(data: bytes) -> bool:
    """Whether the compiled reading of a request to the tracker differs from its twin."""
    return native.split_request(data, MAX_REQUEST) != split_request_twin(data, MAX_REQUEST)


def requests() -> Iterator[bytes]:
    """Yield requests for pixels and links, and what is nearly one."""
    for token in url_tokens():
        for fields in ("", "X-Forwarded-For: 192.0.2.1\r\n", "x-forwarded-for: 192.0.2.1, ::1\r\nAccept: */*\r\n"):
            yield f"GET /o/{token} HTTP/1.1\r\nHost: t.example\r\n{fields}\r\n".encode("utf-8", "surrogatepass")
        yield f"GET /c/{token} HTTP/1.1\r\nX-Forwarded-For: \r\nX-Forwarded-For: 192.0.2.1\n\r\n\r\n".encode()
    yield b"GET /c/ HTTP/1.1\r\n\r\n"
    yield b"GET /c/x HTTP/1.1\r\nHost: t\r\nX-Forwarded-For: \r\n\r\n"


def message(html: bytes, encoding: str) -> bytes:
    """Return a message with this HTML text as its only part."""
    body = html
    if encoding == "quoted-printable":
        body = binascii.b2a_qp(b"\r\n" + body, istext=True)
    if encoding == "base64":
        body = base64.encodebytes(body).replace(b"\n", b"\r\n")
    head = f"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return head.encode() + body


def with_crlf(content: bytes) -> bytes:
    """Return the content with CRLF line ends only."""
    return content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")


def golden_messages() -> Iterator[bytes]:
    """Yield the messages of the golden files."""
    for path in sorted((Path(__file__).parents[1] / "golden" / "rewrite").glob("*.eml")):
        yield path.read_bytes()


def mutated(content: bytes, random: Random) -> bytes:
    """Return the content with a few things put in, taken out and repeated."""
    text = bytearray(content)
    for _ in range(random.randint(1, 6)):
        at = random.randrange(len(text) + 1)
        match random.randrange(10):
            case 0 | 1 | 2 | 3 | 4:
                text[at:at] = random.choice(_FRAGMENTS)
            case 5 | 6 | 7:
                del text[at : at + random.choice((1, 2, 5, 40, 300))]
            case _:
                start = random.randrange(len(text) + 1)
                text[at:at] = text[start : start + random.choice((3, 30, 200))]
    return bytes(text)


def url_tokens() -> Iterator[str]:
    """Yield tokens of all kinds of URLs, for first and last recipients, with targets and without."""
    keys = parse_keyring([new_key(b"k" * 32, "k1")])
    for number in (0, 1, 127, 128, 2**14, 2**28 - 1):
        yield sign_token(keys, Token(Kind.OPEN, "0ABCDFGHJKLMNZ", number))
        yield sign_token(keys, Token(Kind.CLICK, "0ABCDFGHJKLMNZ", number, "https://shop.test/?a=é"))
    yield sign_token(keys, Token(Kind.CLICK, "Z" * 14, 3, "https://www.shop.test/" + "a" * 90), short=True)
