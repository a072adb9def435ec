"""Builds the mails of the verification: test mail, code mail, test response. Pure."""

from collections.abc import Sequence
from html import escape

from relay.verification.challenge import LIFETIME, LINK_LIFETIME

_HTML = (
    '<!doctype html>\n<html lang="en"><body style="font:16px/1.5 system-ui,sans-serif;color:#1d2430">\n'
    '<div style="max-width:32rem;margin:0 auto;padding:1.5rem">\n{}\n</div>\n</body></html>\n'
)

_BUTTON = (
    '<a href="{}" style="display:inline-block;padding:.7rem 1.6rem;border-radius:8px;background:#1f5fbf;'
    'color:#ffffff;font-weight:600;text-decoration:none">Confirm</a>'
)

_ROBOT = "Auto-Submitted: auto-generated\r\n"
"""Prevents automatic replies (RFC 3834)."""

_BIG = '<p style="font-size:2rem;letter-spacing:.3em;font-weight:600;margin:.5rem 0">{}</p>'


def test_mail(queue_id: str, identity: str, to: Sequence[str], hostname: str, link: str) -> bytes:
    """Return the test mail of an identity, with an HTML part and a link to be tracked."""
    what = f"This is a test mail of {identity}, sent by the relay {hostname}."
    text = f"{what}\nIt arrived, so sending works. Nothing needs to be done.\n\n{link}\n"
    html = (
        f"<p>{escape(what)}<br>It arrived, so sending works. Nothing needs to be done.</p>\n"
        f'<p><a href="{escape(link)}">A link whose clicks are seen</a></p>'
    )
    return _mail(queue_id, identity, to, f"Test mail of {identity}", text, html, _ROBOT)


def forwarder_mail(queue_id: str, identity: str, token_address: str, hostname: str) -> bytes:
    """Return the mail to an identity by which its mailbox's forwarder is tested.

    Its copy is recognised by `token_address`, in the header and in the text: a forwarder may keep only one of them.
    """
    text = (
        f"This mail tests whether the mailbox of {identity} forwards to the relay {hostname}.\n"
        f"Nothing needs to be done.\n\nReference: {token_address}\n"
    )
    extra_fields = f"{_ROBOT}References: <{token_address}>\r\nX-Relay-Track: none\r\n"
    return _mail(queue_id, identity, [identity], f"Test of the forwarder of {identity}", text, "", extra_fields)


def code_mail(queue_id: str, identity: str, to: Sequence[str], code: str, link: str, page: str) -> bytes:
    """Return the mail with a code. It has no command, because its readers need not have a shell.

    `link` opens the page with a button that confirms, `page` the one that takes the code; each may be "".
    """
    asked = _asked(identity, to)
    minutes, hours = f"{LIFETIME / 60:.0f} minutes", f"{LINK_LIFETIME / 3600:.0f} hours"
    ignore = "If you know nothing of this, do nothing: nothing is confirmed without you."
    text, html = f"{asked}\n\n", f"<p>{escape(asked)}</p>\n"
    enter = "type in this code"
    if link:
        text += f"Confirm that on this page, within {hours}:\n\n    {link}\n\n"
        html += f"<p>{_BUTTON.format(escape(link))}</p>\n<p>The button works for {hours}. "
        enter = f"Or {enter}"
    else:
        html += "<p>"
        enter = enter.capitalize()

    where = f"at {page}" if page else "where you were asked for it"
    text += f"{enter} {where}, within {minutes}:\n\n    {code}\n\n"
    anchor = f'at <a href="{escape(page)}">{escape(page)}</a>' if page else where
    html += f"{enter} {anchor}, within {minutes}:</p>\n{_BIG.format(code)}\n"
    subject = f"{code} is the code for {identity}"
    extra_fields = f"{_ROBOT}X-Relay-Track: none\r\n"
    return _mail(
        queue_id,
        identity,
        to,
        subject,
        f"{text}{ignore}\n",
        f'{html}<p style="color:#576070">{escape(ignore)}</p>',
        extra_fields,
    )


def _asked(identity: str, to: Sequence[str]) -> str:
    """Return what the reader confirms: the address itself, or that answers to it arrive."""
    if tuple(to) == (identity,):
        return f"Somebody, probably you, wants to send mail as {identity}."
    return f"Answers to mail of {identity} are to arrive in this mailbox."


def response_mail(queue_id: str, identity: str, to: str, message_id: str) -> bytes:
    """Return a test response to the test mail, marked as automatic so that it is not forwarded."""
    thread = f"In-Reply-To: {message_id}\r\nReferences: {message_id}\r\n"
    extra_fields = f"Auto-Submitted: auto-replied\r\n{thread}X-Relay-Track: none\r\n"
    text = f"This is a test response to a test mail of {identity}. Nothing needs to be done.\n"
    return _mail(queue_id, identity, [to], f"Re: Test mail of {identity}", text, "", extra_fields)


def _mail(
    queue_id: str, identity: str, to: Sequence[str], subject: str, text: str, html: str, extra_fields: str
) -> bytes:
    """Build a mail in UTF-8 (RFC 6532); rendering adapts it to the next hop."""
    header = (
        f"From: <{identity}>\r\nTo: {', '.join(f'<{one}>' for one in to)}\r\nSubject: {subject}\r\n"
        f"{extra_fields}X-Relay-Tag: relay-test\r\nMIME-Version: 1.0\r\n"
    )
    if not html:
        return f"{header}{_part('plain', text)}".encode()
    boundary = f"relay-{queue_id}"
    parts = "".join(f"--{boundary}\r\n{part}" for part in (_part("plain", text), _part("html", _HTML.format(html))))
    return (
        f'{header}Content-Type: multipart/alternative; boundary="{boundary}"\r\n\r\n{parts}--{boundary}--\r\n'.encode()
    )


def _part(kind: str, text: str) -> str:
    lines = text.replace("\n", "\r\n")
    return f"Content-Type: text/{kind}; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{lines}"
