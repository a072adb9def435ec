"""Requests that a reader, a link scanner or a mail program makes for a mail. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from html import unescape
from typing import Literal

from relay.dsn.mime_parts import Part, walk
from relay.mail.headers import fields, first_text

PERSON = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
"""User agent of a person."""

SCANNER = "Mozilla/5.0 (compatible; urlscan; simulated by relay)"
"""User agent of a program that looks at all links."""

APPLE = "Mozilla/5.0"
"""User agent of Apple's Mail Privacy Protection, which loads images for every mail."""

_ATTRIBUTE = re.compile(r"""\b(?:href|src)\s*=\s*["']?([^"'\s>]+)""", re.IGNORECASE)

_PLAIN_URL = re.compile(r"https?://[^\s<>\"]+")

_TOKEN_PATH = re.compile(r"(/[ocu]/[A-Za-z0-9_-]+)")


@dataclass(frozen=True, slots=True)
class Visit:
    """A request to the tracker: the path, and the body of a POST."""

    method: Literal["GET", "HEAD", "POST"]
    path: str
    user_agent: str
    body: str = ""

    def encode(self) -> bytes:
        """Return the request in HTTP/1.1."""
        lines = [f"{self.method} {self.path} HTTP/1.1", "Host: simulator", f"User-Agent: {self.user_agent}"]
        if self.body:
            lines += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(self.body)}"]
        lines.append("Connection: close")
        return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + self.body.encode()


@dataclass(frozen=True, slots=True)
class Links:
    """Paths at the tracker that a mail has, in order, each once."""

    pixels: tuple[str, ...]
    clicks: tuple[str, ...]
    unsubscribes: tuple[str, ...]
    """From List-Unsubscribe, else from the body."""


def links_in(content: bytes) -> Links:
    """Return the links of a rendered mail that lead to the tracker, whatever its host is."""
    urls: list[str] = []
    for part in walk(content):
        if part.media_type == "text/html":
            urls += [unescape(one) for one in _ATTRIBUTE.findall(_text(part))]
        elif part.media_type == "text/plain":
            urls += _PLAIN_URL.findall(_text(part))
    listed = re.findall(r"<(https?://[^>]+)>", first_text(content, fields(content), b"list-unsubscribe"))
    return Links(_paths(urls, "/o/"), _paths(urls, "/c/"), _paths([*listed, *urls], "/u/"))


def opened(links: Links) -> tuple[Visit, ...]:
    """Return what a person's mail program requests when the mail is opened."""
    return tuple(Visit("GET", one, PERSON) for one in links.pixels[:1])


def clicked(links: Links) -> tuple[Visit, ...]:
    """Return the same, and a click on the first link."""
    return (*opened(links), *(Visit("GET", one, PERSON) for one in links.clicks[:1]))


def unsubscribed(links: Links) -> tuple[Visit, ...]:
    """Return the request of a mailbox provider's button (RFC 8058)."""
    return tuple(Visit("POST", one, PERSON, "List-Unsubscribe=One-Click") for one in links.unsubscribes[:1])


def scanned(links: Links) -> tuple[Visit, ...]:
    """Return the requests of a link scanner: HEAD of the first link, then all links and the pixel."""
    heads = [Visit("HEAD", one, SCANNER) for one in links.clicks[:1]]
    return (*heads, *(Visit("GET", one, SCANNER) for one in (*links.pixels, *links.clicks)))


def prefetched(links: Links) -> tuple[Visit, ...]:
    """Return the request of Apple's proxy."""
    return tuple(Visit("GET", one, APPLE) for one in links.pixels[:1])


def _paths(urls: Iterable[str], kind: str) -> tuple[str, ...]:
    found = (match[1] for url in urls for match in [_TOKEN_PATH.search(url)] if match)
    return tuple(dict.fromkeys(path for path in found if path.startswith(kind)))


def _text(part: Part) -> str:
    """Return the markup as it is. URLs of the tracker are ASCII in every charset that mail uses."""
    return part.decoded().decode("utf-8", "replace")
