"""The visible texts of the links of a mail, to show beside their URLs."""

from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

from bs4 import BeautifulSoup, ParserRejectedMarkup, Tag
from bs4.filter import SoupStrainer

_LINKS = SoupStrainer(["a", "area"])

_MAX_TEXT = 60
"""Characters of a text, at most; a longer one is cut."""


def link_texts(content: bytes) -> dict[str, str]:
    """Return the visible text of the first link with each URL, over all HTML parts of the mail.

    The text of an image is its alternative text. URLs without a text and parts that cannot be decoded are skipped.
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
        except (LookupError, ValueError):  # The charset is unknown.
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
    return words if len(words) <= _MAX_TEXT else f"{words[: _MAX_TEXT - 1]}…"
