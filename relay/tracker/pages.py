"""HTML pages for readers: their frame, and those that are built once at import and contain nothing from requests."""

from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from string import Template
from typing import Literal

from relay.config.senders import UnsubscribeScope
from relay.suppression.unsubscribes import Subscription

Tone = Literal["plain", "good", "warn"]
"""Kind of page: a question, a success, or a failure."""

_HERE = files("relay.tracker")

_STYLE = _HERE.joinpath("style.css").read_text("utf-8")

_PAGE = Template(_HERE.joinpath("page.html").read_text("utf-8"))

_MARKS: dict[Tone, str] = {
    "plain": '<rect x="3" y="5.5" width="18" height="13" rx="2"/><path d="m3.5 7 8.5 6 8.5-6"/>',
    "good": '<path d="m5.5 12.5 4.3 4.3L18.5 8"/>',
    "warn": '<path d="M12 5v9"/><path d="M12 18.4v.1"/>',
}


def page(title: str, content: str, tone: Tone = "plain") -> str:
    """Return a page with this title and HTML content."""
    return _PAGE.substitute(title=title, style=_STYLE, tone=tone, mark=_MARKS[tone], content=content)


def form(button: str, **fields: str) -> str:
    """Return a form of one button that posts to its own page, with hidden fields."""
    hidden = "".join(
        f'<input type="hidden" name="{name.replace("_", "-")}" value="{value}">\n' for name, value in fields.items()
    )
    return f'<form method="post">\n{hidden}<button type="submit">{button}</button>\n</form>'


def _unsubscribe_form(button: str) -> str:
    """Return a form that posts as a mail program does (RFC 8058), with a field that marks the page."""
    return form(button, List_Unsubscribe="One-Click", page="yes")


POLICY = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of the pages: it allows their style sheet and their form only."""

_MAIL: dict[UnsubscribeScope, tuple[str, str]] = {
    "campaign": ("these emails", "them"),
    "domain": ("newsletters of this sender", "its newsletters, whichever this one was"),
    "global": ("our newsletters", "our newsletters, whoever of us sends them"),
}
"""What an unsubscribe ends: in a heading, and in a sentence about it."""

ASK = {
    reach: page(
        f"Unsubscribe from {mail}?",
        f"<p>You will get no more of {them} at this address. "
        "Messages about your orders or your account still reach you.</p>\n"
        f"{_unsubscribe_form('Unsubscribe')}\n"
        "<p>Opened by mistake? Close this page, and nothing changes.</p>",
    )
    for reach, (mail, them) in _MAIL.items()
}
"""The question, by what an unsubscribe ends."""

DONE = {
    reach: page(
        "You are unsubscribed",
        f'<p role="status">We will send you no more of {mail}. One that is already on its way may still arrive.</p>',
        "good",
    )
    for reach, (mail, _) in _MAIL.items()
}

ALREADY = {
    reach: page(
        "You are already unsubscribed",
        f'<p role="status">{mail[0].upper()}{mail[1:]} are not sent to you any more. There is nothing left to do.</p>',
        "good",
    )
    for reach, (mail, _) in _MAIL.items()
}

TOO_OLD = page(
    "This link is too old",
    '<p role="alert">The message it came with is not on record here any more. '
    "Please use the link in a newer message, or write to its sender.</p>",
    "warn",
)

BLOCKED = page(
    "This link was disabled",
    '<p role="alert">The page it led to was reported as harmful, so it is not opened. '
    "There is nothing you need to do.</p>\n"
    "<p>If you expected something there, please ask the sender of the message.</p>",
    "warn",
)

FAILED = page(
    "That did not work",
    '<p role="alert">We could not save this just now. Please try again in a minute.</p>\n'
    f"{_unsubscribe_form('Try again')}",
    "warn",
)

INVALID = page(
    "This link does not work",
    "<p>It may have been cut or changed on its way. Please use the one in the message itself.</p>",
    "warn",
)


def unsubscribe_page(state: Subscription | None) -> str:
    """Return the page of an unsubscribe link; `state` is None if the message is no longer stored."""
    if state is None:
        return TOO_OLD
    return (ALREADY if state.has_left else ASK)[state.reach]
