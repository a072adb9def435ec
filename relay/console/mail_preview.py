"""A stored mail as the console shows it: header, visible body, link decisions. Pure."""

from dataclasses import dataclass
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from html import escape

from relay.console.formats import cleaned

MAX_OCTETS = 4 << 20
"""Octets of a mail that is shown, at most: a larger one takes seconds to read."""

MAX_HEADER = 64 << 10
"""Octets of a header that is shown, at most."""

POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'self'"
"""Content-Security-Policy of the preview: the mail runs nothing, loads nothing, sends nothing, and leads nowhere."""

_FRAME = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Text of the mail</title></head>'
    "<body><pre>{}</pre></body></html>"
)


@dataclass(frozen=True, slots=True)
class Link:
    """The decision about one link of a mail."""

    target: str
    tracked: bool
    reason: str


def header_of(content: bytes) -> str:
    """Return the header as text, cut to MAX_HEADER."""
    head = content[: content.find(b"\r\n\r\n") if b"\r\n\r\n" in content else len(content)][:MAX_HEADER]
    return "\n".join(map(cleaned, head.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")))


def visible_body(content: bytes) -> str:
    """Return the page of what a reader sees: the HTML of the mail, else its text."""
    message = BytesParser(EmailMessage, policy=policy.default).parsebytes(content)
    try:
        part = message.get_body(("html", "plain"))
        found = part.get_content() if part is not None else ""
    except (KeyError, LookupError, ValueError, AttributeError):
        # Malformed mail: an unknown charset, a broken header, a multipart that is none.
        return _FRAME.format(escape(content.partition(b"\r\n\r\n")[2].decode("utf-8", "replace")))
    text = found if isinstance(found, str) else ""
    if part is not None and part.get_content_type() == "text/html":
        return text.encode("utf-8", "replace").decode()
    return _FRAME.format(escape(text.encode("utf-8", "replace").decode()))
