"""HTML of the dashboard: escaping, page layout, tables and other elements."""

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from html import escape
from importlib.resources import files

from relay.reports.serialize import JsonObject

_VOID = frozenset({"input", "br"})


class Markup(str):
    """HTML that is complete and needs no escaping."""

    __slots__ = ()


def fragment(*children: object) -> Markup:
    """Return the children joined: Markup unchanged, None as nothing, everything else as escaped text."""
    return Markup("".join(map(_to_html, children)))


def tag(name: str, /, *children: object, **attributes: object) -> Markup:
    """Return an element. Attributes that are None or False are left out; `class_` is written `class`."""
    pairs = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_clean("" if value is True else str(value)))}"'
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    return Markup(f"<{name}{pairs}>" if name in _VOID else f"<{name}{pairs}>{fragment(*children)}</{name}>")


def _to_html(child: object) -> str:
    if child is None:
        return ""
    return child if isinstance(child, Markup) else escape(_clean(str(child)))


def _clean(text: str) -> str:
    """Replace unprintable characters by spaces, and surrogates by "?"."""
    printable = text if text.isprintable() else "".join(char if char.isprintable() else " " for char in text)
    return printable.encode("utf-8", "replace").decode()


_STYLE = files("relay.admin.dashboard").joinpath("style.css").read_text("utf-8")

POLICY = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of the pages: it allows their style sheet and their form only."""

_TONES: Mapping[str, str] = {
    "delivered": "good",
    "open": "good",
    "click": "good",
    "reply": "good",
    "deferred": "warn",
    "held": "warn",
    "dropped": "warn",
    "unsubscribe": "warn",
    "feedback": "warn",
    "bounced": "bad",
    "complaint": "bad",
}


def page(title: str, about: object, query: str, *content: Markup | None) -> str:
    """Return a page with the common header and search field; `about` is the text beside the name in the header."""
    head = (
        Markup('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">')
        + Markup('<meta name="color-scheme" content="light dark"><meta name="robots" content="noindex">')
        + tag("title", title)
        + tag("style", Markup(_STYLE))
    )

    hint = "Queue id, Message-ID or recipient"
    search = tag(
        "form",
        tag("input", type="search", name="q", value=query, placeholder=hint, aria_label=hint),
        tag("button", "Search", type="submit"),
        action="/",
        role="search",
    )

    header = tag("header", tag("strong", tag("a", "relay", href="/")), tag("span", about), search)
    body = tag("body", header, tag("main", *content))
    return f'<!doctype html>\n<html lang="en">\n<head>{head}</head>\n{body}\n</html>\n'


def section(title: object, *content: Markup | None, note: str = "", class_: str | None = None) -> Markup:
    """Return a section with a heading, and a small note beside it."""
    return tag("section", tag("h2", title, tag("small", note) if note else None), *content, class_=class_)


def table(columns: Sequence[tuple[str, str | None]], rows: Iterable[Sequence[object]], empty: str) -> Markup:
    """Return a table. A column has a title and a class or None. Without rows the text `empty` is shown."""
    lines = [
        tag("tr", *(tag("td", cell, class_=class_) for cell, (_, class_) in zip(row, columns, strict=True)))
        for row in rows
    ]
    if not lines:
        return tag("p", empty, class_="q")
    head = tag(
        "tr", *(tag("th", title, scope="col", class_="n" if class_ == "n" else None) for title, class_ in columns)
    )
    return tag("div", tag("table", tag("thead", head), tag("tbody", *lines)), class_="scroll")


def numbers(*pairs: tuple[str, int, str]) -> Markup:
    """Return large numbers, each with a title above and a small note below."""
    boxes = (
        tag("div", tag("dt", title), tag("dd", f"{value:,}", tag("small", note) if note else None))
        for title, value, note in pairs
    )
    return tag("dl", *boxes, class_="numbers")


def badge(word: str) -> Markup:
    """Return a status or kind of event in its colour."""
    return tag("span", word, class_=f"badge {_TONES.get(word, '')}".strip())


def moment(at: object) -> Markup:
    """Return a time of the API (RFC 3339, UTC) as a readable `time` element with the exact value as attribute."""
    text = str(at or "")
    return tag("time", text[:19].replace("T", " "), datetime=text)


def message_link(message: JsonObject) -> Markup:
    """Return a link to the page of a message; its text is the subject, else the queue id."""
    return tag("a", message["subject"] or message["queue_id"], href=f"/message/{message['queue_id']}")


def messages_table(stories: Iterable[JsonObject], empty: str) -> Markup:
    """Return a table of messages with the status of their recipients."""
    columns = (("Accepted (UTC)", "t"), ("Message", None), ("From", None), ("To", None), ("Status", "b"))
    rows = (
        (moment(one["created_at"]), message_link(one), one["from"] or one["reverse_path"], *_recipients(one))
        for one in stories
    )
    return table(columns, rows, empty)


def _recipients(message: JsonObject) -> tuple[object, object]:
    recipients = message["recipients"]
    assert isinstance(recipients, list)
    first = recipients[0]["recipient"] if recipients else ""
    others = f" and {len(recipients) - 1} more" if len(recipients) > 1 else ""
    statuses = sorted({str(one["status"]) for one in recipients})
    return f"{first}{others}", fragment(*(fragment(badge(status), " ") for status in statuses))


def percent(share: object) -> str:
    """Return a share as a percentage."""
    return f"{float(str(share)):.1%}"
