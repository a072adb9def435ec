"""The pages a reader sees: made once, the same for everybody, with nothing in them that comes from a request."""

from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from string import Template

_HERE = files("relay.tracker")
_STYLE = _HERE.joinpath("style.css").read_text("utf-8")
_PAGE = Template(_HERE.joinpath("page.html").read_text("utf-8"))


def _page(title: str, content: str) -> str:
    return _PAGE.substitute(title=title, style=_STYLE, content=content)


POLICY = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of the pages: their one style sheet, their own form, nothing else."""

ASK = _page(
    "Unsubscribe",
    "<p>Do you no longer want to receive these messages?</p>\n"
    '<form method="post">\n'
    '<input type="hidden" name="List-Unsubscribe" value="One-Click">\n'
    '<input type="hidden" name="page" value="yes">\n'
    '<button type="submit">Unsubscribe</button>\n'
    "</form>",
)
DONE = _page("You are unsubscribed", '<p role="status">You will not receive these messages any more.</p>')
FAILED = _page("Please try again", '<p role="alert">We could not save this just now. Try again in a minute.</p>')
CONFIRM = _page(
    "Confirm your address",
    "<p>Do you confirm that you received the message with this link, and that mail may be sent in your name?</p>\n"
    '<form method="post">\n<button type="submit">Confirm</button>\n</form>',
)
CONFIRMED = _page("Your address is confirmed", '<p role="status">You can close this page now.</p>')
CONFIRM_TOO_LATE = _page(
    "This link is too old",
    '<p role="alert">A newer message took its place, or it was not used in time. Ask for another.</p>',
)
CONFIRM_ELSEWHERE = _page(
    "Please use the code",
    "<p>Addresses cannot be confirmed on this page here. Give the code in the message to whoever set up your mail.</p>",
)
INVALID = _page(
    "This link does not work", "<p>It may have been cut or changed on its way. Try the one in the message.</p>"
)
