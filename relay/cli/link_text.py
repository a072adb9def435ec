"""The visible text of the links of a mail, for people who read a list of URLs."""

from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

from bs4 import BeautifulSoup, ParserRejectedMarkup, Tag
from bs4.filter import SoupStrainer

_LINKS = SoupStrainer(["a", "area"])


_LONGEST = 60
"""Characters of a text; the rest is cut."""


def link_texts(content: bytes) -> dict[str, str]:
    """Return the visible text by URL: of the first link that has one, in any HTML part of the mail.

    An image counts with its alternative text. URLs without a text are left out, as are parts that cannot be decoded.
    """
    texts: dict[str, str] = {}
    for html in _html_parts(content):
        for link in _links(html):
            url, text = str(link.get("href", "")).strip(), _text(link)
            if url and text:
                texts.setdefault(url, text)
    return texts


def _html_parts(content: bytes) -> list[str]:
    message = message_from_bytes(content, policy=default)
    parts = []
    for part in message.walk():
        if part.get_content_type() != "text/html" or not isinstance(part, EmailMessage):
            continue
        try:
            parts.append(str(part.get_content()))
        except (LookupError, ValueError):  # An unknown charset; the mail itself is sent as it is.
            continue
    return parts


def _links(html: str) -> list[Tag]:
    try:
        soup = BeautifulSoup(html, "html.parser", parse_only=_LINKS)
    except ParserRejectedMarkup:
        return []
    return [link for link in soup.find_all(["a", "area"]) if isinstance(link, Tag)]


def _text(link: Tag) -> str:
    words = " ".join(link.get_text(" ").split())
    if not words:
        images = (str(image.get("alt", "")) for image in (link, *link.find_all("img")))
        words = " ".join(" ".join(images).split())
    return words if len(words) <= _LONGEST else f"{words[: _LONGEST - 1]}…"
