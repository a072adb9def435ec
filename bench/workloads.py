"""The messages that are sent. Pure: the same octets every time, apart from the id.

W1: an order confirmation, text of 2 KB. W2: a newsletter, 20 KB of HTML in quoted-printable with 25 links. W3: a mail
with an attachment of 200 KB. W4: the newsletter with an attachment, 100 KB together.
"""

import base64
import quopri
import random

ID = b"@@BENCH-ID-32-characters-long!@@"
"""Stands where each message has its own id: in the X-Bench field, the Message-ID and some links."""

TRACKER = "http://track.bench"

FROM = "news@sender.bench"

_WORDS = [
    "account",
    "order",
    "delivery",
    "invoice",
    "summary",
    "update",
    "team",
    "project",
    "weekly",
    "report",
    "customer",
    "service",
    "release",
    "feature",
    "price",
    "offer",
    "season",
    "garden",
    "kitchen",
    "travel",
    "market",
    "review",
    "design",
    "guide",
    "morning",
    "evening",
    "support",
    "answer",
    "question",
    "number",
]


def workload(name: str) -> bytes:
    """Return the template of a workload, with CRLF line ends."""
    make = {"W1": _confirmation, "W2": _newsletter, "W3": _attachment, "W4": _newsletter_with_file}[name]
    return make(random.Random(name)).replace(b"\n", b"\r\n")


def message(template: bytes, identity: str) -> bytes:
    """Return a message of its own: the template with this id, which has 32 characters."""
    return template.replace(ID, identity.encode("ascii"))


def _header(subject: str, content_type: str, encoding: str) -> bytes:
    return (
        b"X-Bench: %s\nFrom: Bench <%s>\nTo: reader@rcpt.bench\nSubject: %s\nDate: Wed, 25 Nov 2026 09:00:00 +0000\n"
        b"Message-ID: <%s@sender.bench>\nMIME-Version: 1.0\nContent-Type: %s\nContent-Transfer-Encoding: %s\n\n"
    ) % (ID, FROM.encode(), subject.encode(), ID, content_type.encode(), encoding.encode())


def _sentence(dice: random.Random, words: int = 12) -> str:
    return " ".join(dice.choice(_WORDS) for _ in range(words)).capitalize() + "."


def _confirmation(dice: random.Random) -> bytes:
    lines = [_sentence(dice, 10) for _ in range(24)]
    body = "\n".join(["Hello,", "", *lines, "", f"Your order: https://shop.sender.bench/orders/{ID.decode()}", ""])
    return _header("Your order", "text/plain; charset=utf-8", "7bit") + body.encode()


def _newsletter(dice: random.Random) -> bytes:
    rows = "\n".join(_row(dice, number) for number in range(12))
    html = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>News</title>\n'
        "<style>body{margin:0;background:#f4f4f4}.wrap{width:600px;margin:0 auto}</style></head><body>\n"
        f'<table role="presentation" class="wrap" cellpadding="0" cellspacing="0">\n{rows}\n</table>\n'
        f'<p><a href="https://www.sender.bench/prefs?m={ID.decode()}">Preferences</a> – café</p></body></html>\n'
    )
    text = _sentence(dice, 60) + "\n"
    return (
        _header("News of the week", 'multipart/alternative; boundary="=_b"', "7bit")
        + b"--=_b\nContent-Type: text/plain; charset=utf-8\n\n"
        + text.encode()
        + b"--=_b\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n"
        + quopri.encodestring(html.encode())
        + b"\n--=_b--\n"
    )


def _row(dice: random.Random, number: int) -> str:
    item = f"https://shop.sender.bench/p/{1000 + number}?utm_source=news&amp;utm_campaign=w{number}&amp;c={ID.decode()}"
    buy = f"https://shop.sender.bench/buy?sku={1000 + number}&amp;qty=1"
    prose = " ".join(_sentence(dice, 16) for _ in range(7))
    return (
        '<tr><td style="padding:16px 24px;border-bottom:1px solid #e5e5e5">'
        f'<h2 style="margin:0 0 8px;font-size:20px;color:#222222">{_sentence(dice, 5)}</h2>'
        f'<img src="https://cdn.sender.bench/img/{number}.jpg" width="552" height="240" alt="Item">'
        f'<p style="font-size:15px;line-height:22px;color:#444444">{prose} Price: £{10 + number}.99</p>'
        f'<a href="{item}" class="btn" style="color:#ffffff" target="_blank">Read more about item {number}</a> '
        f"<a href=\"{buy}\" style='color:#0b5fff'>Buy item {number}</a></td></tr>"
    )


def _attachment(dice: random.Random) -> bytes:
    return (
        _header("Your invoice", 'multipart/mixed; boundary="=_m"', "7bit")
        + b"--=_m\nContent-Type: text/plain; charset=utf-8\n\nThe invoice is attached.\n"
        + _pdf(dice, 146_000)
    )


def _newsletter_with_file(dice: random.Random) -> bytes:
    body = _newsletter(dice).partition(b"\n\n")[2]
    return (
        _header("News of the week", 'multipart/mixed; boundary="=_m"', "7bit")
        + b'--=_m\nContent-Type: multipart/alternative; boundary="=_b"\n\n'
        + body
        + _pdf(dice, 57_000)
    )


def _pdf(dice: random.Random, size: int) -> bytes:
    return (
        b"--=_m\nContent-Type: application/pdf; name=invoice.pdf\nContent-Transfer-Encoding: base64\n"
        + b"Content-Disposition: attachment; filename=invoice.pdf\n\n"
        + base64.encodebytes(dice.randbytes(size))
        + b"--=_m--\n"
    )
