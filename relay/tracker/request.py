"""Path and body of an HTTP request to the tracker."""

import re
from collections.abc import Iterator

from aiohttp import web

_UNRESERVED = re.compile(r"%(?:25)*(2[de]|3[0-9]|4[1-9a-f]|5[0-9af]|6[1-9a-f]|7[0-9ae])", re.IGNORECASE)
"""An escape of an unreserved character (RFC 3986 section 2.3), made once or several times."""

_INSERTED = re.compile(
    r"(?:=|!|%(?:25)*(?:3D|21))?(?:%(?:25)*(?:0D|0A|09|20)|\s)+(?:(?:>|%(?:25)*3E)(?:%(?:25)*20|\s)+)*"
    r"|(?:=0D)?=0A|<wbr ?/?>|%3Cwbr(?:%20)?/?%3E|&(?:shy|zwnj|zwj|#173|#8203|#xAD|#x200B);"
    r"|%C2%A[0D]|%E2%80%8[B-F]|%EF%BB%BF|[\xad\u200b-\u200f\ufeff]|(?:/|\\|%5C)(?=[-_])",
    re.IGNORECASE,
)
"""What a program put inside a link: line breaks and marks of quotations, invisible characters, escapes of Markdown."""

_QUOTED = re.compile(r"=(2D|3[0-9]|4[1-9A-F]|5[0-9AF]|6[1-9A-F]|7[0-9A])", re.IGNORECASE)
"""An escape of quoted-printable that a program kept inside a link."""

_SLASHES = re.compile(r"(?:/|%(?:25)*2F)+", re.IGNORECASE)

_OPENING = re.compile(r"(?:%(?:25)*(?:2[278]|3C|5B)|[^A-Za-z0-9_%-])*", re.IGNORECASE)
"""Marks that a program took into a link in front of its token."""

_TOKEN = re.compile(r"[A-Za-z0-9_-]+")

_NEXT_LINK = re.compile(r"https?(?=:|%3A)", re.IGNORECASE)
"""The start of another link that follows without a blank."""

_MAX_TRAILING = 3
"""Characters that belong to the text around a link, such as the "_" of Markdown, and also occur in tokens; at most."""

MAX_BODY = 4096
"""Octets of the body of a POST, at most."""

READING, FORM = ("GET", "HEAD"), ("GET", "HEAD", "POST")
"""Methods of a path that is only read, and of a page with a form."""

_KINDS = {"/o/": "open", "/c/": "click", "/u/": "unsubscribe", "/v/": "verify"}


def kind_of(path: str) -> str:
    """Return the kind of a path, by which requests are counted."""
    return _KINDS.get(path[:3], "verify" if path == "/verify" else "other")


def path_of(target: str) -> str:
    """Return the path of a request target, in origin form or absolute form (RFC 9112 section 3.2.2).

    Escapes of unreserved characters are decoded, because they make no other path (RFC 3986 section 6.2.2.2). Slashes in
    a row are one, and the first two may be escaped.
    """
    if not target.startswith("/"):
        scheme, _, rest = target.partition("://")
        target = "/" + rest.partition("/")[2] if scheme.lower() in ("http", "https") else ""
    path = target.partition("?")[0]
    if "%" in path:
        path = _UNRESERVED.sub(lambda found: chr(int(found[1], 16)), path)
        path = _SLASHES.sub("/", path, count=2)
    return _SLASHES.sub("/", path) if "//" in path else path


def tokens_in(text: str) -> Iterator[str]:
    """Yield the tokens that the end of a path may be, the likeliest first.

    Programs on the way add punctuation, words, parameters and soft line breaks to links. None of these begins with a
    character of tokens, except "-" and "_". The MAC decides which token is authentic.
    """
    unbroken = _INSERTED.sub("", text)
    decoded = _QUOTED.sub(lambda escape: chr(int(escape[1], 16)), unbroken)
    for one in dict.fromkeys((text, decoded, unbroken.replace("=", ""))):
        found = _TOKEN.match(one, _OPENING.match(one).end())  # type: ignore[union-attr]  # matches every text
        if found is None:
            continue
        token = found[0]
        yield token
        extra = len(token) - len(token.rstrip("-_"))
        yield from (token[:-length] for length in range(1, min(extra, _MAX_TRAILING) + 1))
        if (following := _NEXT_LINK.search(one, found.start())) is not None:
            yield one[found.start() : following.start()]


async def read_body(request: web.BaseRequest) -> bytes | None:
    """Return the body, None if it is too long. Send 100 Continue if the client expects it (RFC 9110 section 10.1.1)."""
    if (request.content_length or 0) > MAX_BODY:
        return None
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = bytearray()
    while chunk := await request.content.readany():
        body += chunk
        if len(body) > MAX_BODY:
            return None
    return bytes(body)
