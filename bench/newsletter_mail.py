"""A newsletter for many readers: Mailgun's form with recipient variables, and the same as a mail for each. Pure."""

import email
import email.policy
import html
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.message import EmailMessage

from bench.workloads import FROM, TRACKER, workload
from relay.api.composer import compose
from relay.api.outgoing_message import OutgoingMessage

ROWS = 9
"""Rows of the newsletter W2 that are kept: a mail has 20 KB."""

PERSONAL = re.compile(r'<a id="(read|leave)" href="([^"]*)"')


@dataclass(frozen=True)
class Reader:
    """A reader, and all that only its mail has."""

    number: int

    @property
    def address(self) -> str:
        return f"reader{self.number}@rcpt.bench"

    @property
    def variables(self) -> Mapping[str, str]:
        return {
            "name": f"Größe {self.number} & Söhne",
            "read_url": f"https://blog.sender.bench/read?u={self.number:08d}&issue=7",
            "unsubscribe_url": f"https://blog.sender.bench/unsubscribe/?uuid={self.number:08d}&key=k",
            "list_unsubscribe": f"https://blog.sender.bench/unsubscribe/?uuid={self.number:08d}",
        }


def form(readers: Sequence[Reader]) -> Iterator[tuple[str, str]]:
    """Yield the fields of one request, as Ghost sends it."""
    for one in readers:
        yield "to", one.address
    yield "from", f"Bench <{FROM}>"
    yield "subject", "News for %recipient.name%"
    yield "html", _html()
    yield "text", _text()
    yield "recipient-variables", json.dumps({one.address: one.variables for one in readers})
    yield "h:List-Unsubscribe", "<%recipient.list_unsubscribe%>, <%tag_unsubscribe_email%>"
    yield "h:List-Unsubscribe-Post", "List-Unsubscribe=One-Click"
    yield "v:email-id", "6753f1a2"
    yield "o:tag", "bulk-email"
    yield "o:tracking-opens", "yes"


def mail(reader: Reader) -> bytes:
    """Return the same mail for one reader, as an application composes it for SMTP."""
    values = {f"%recipient.{key}%": value for key, value in reader.variables.items()}
    message = OutgoingMessage.model_validate(
        {
            "from": f"Bench <{FROM}>",
            "to": [reader.address],
            "subject": _filled("News for %recipient.name%", values),
            "html": _filled(_html(), {key: html.escape(value) for key, value in values.items()}),
            "text": _filled(_text(), values),
            "headers": {
                "List-Unsubscribe": _filled("<%recipient.list_unsubscribe%>", values),
                "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
                "X-Relay-Tag": "bulk-email",
            },
        }
    )
    return compose(message)


def faults(content: bytes, reader: Reader, target_of: Callable[[str], str]) -> list[str]:
    """Return what is wrong with the mail that a reader got. `target_of` returns where a tracked link leads."""
    whole = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(whole, EmailMessage)
    own = reader.variables
    plain, rich = whole.get_body(("plain",)), whole.get_body(("html",))
    text, page = plain.get_content() if plain else "", rich.get_content() if rich else ""
    links = {name: html.unescape(link) for name, link in PERSONAL.findall(page)}
    tracked = {name: target_of(one) if one.startswith(TRACKER) else one for name, one in links.items()}
    expected = (
        ("To", str(whole["To"]), reader.address),
        ("Subject", str(whole["Subject"]), f"News for {own['name']}"),
        ("text", text.partition("\r\n")[0], f"Dear {own['name']},"),
        ("html", f"<p>Dear {html.escape(own['name'])},</p>" in page, True),
        ("unsubscribe in the text", own["unsubscribe_url"] in text, True),
        ("link", tracked.get("read"), own["read_url"]),
        ("unsubscribe link", tracked.get("leave"), own["unsubscribe_url"]),
        ("List-Unsubscribe", str(whole["List-Unsubscribe"]), f"<{own['list_unsubscribe']}>"),
        ("List-Unsubscribe-Post", str(whole["List-Unsubscribe-Post"]), "List-Unsubscribe=One-Click"),
        ("variables", "%recipient." in page + text + str(whole["Subject"]), False),
    )
    return [f"{reader.address}: {name} is {got!r}, not {right!r}" for name, got, right in expected if got != right]


def _filled(template: str, values: Mapping[str, str]) -> str:
    return re.sub(r"%recipient\.\w+%", lambda found: values[found[0]], template)


def _html() -> str:
    """Return about 20 KB of HTML."""
    newsletter = email.message_from_bytes(workload("W2"), policy=email.policy.default)
    assert isinstance(newsletter, EmailMessage)
    body = newsletter.get_body(("html",))
    assert body is not None
    whole = body.get_content().replace("\r\n", "\n")
    begin, _, end = "<tr>".join([*(rows := whole.split("<tr>"))[:ROWS], rows[-1]]).partition("<table")
    greeting = '<p>Dear %recipient.name%,</p><p><a id="read" href="%recipient.read_url%">Read it in the browser</a></p>'
    leave = '<p><a id="leave" href="%recipient.unsubscribe_url%">Unsubscribe</a></p>'
    return f"{begin}{greeting}\n<table{end.replace('</body>', f'{leave}</body>')}"


def _text() -> str:
    return "Dear %recipient.name%,\n\nthis is the news of the week.\n\nUnsubscribe: %recipient.unsubscribe_url%\n"
