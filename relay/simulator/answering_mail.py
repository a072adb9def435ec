"""Mails that come back: a bounce, an automatic answer, a person's answer, a complaint. Pure."""

from dataclasses import dataclass

from relay.dsn.compose import Action, OriginalMessage, RecipientStatus, compose
from relay.mail.address_list import Unreadable, parse_address_list
from relay.mail.headers import body_start, fields, first_text
from relay.mail.received import mail_date
from relay.mail.reply import Reply

LATE_REPLY = Reply(550, "5.1.1", "User unknown: the mailbox does not exist")
"""Reply that a late bounce reports."""


@dataclass(frozen=True, slots=True)
class AnsweringMail:
    """A mail to an address, with its reverse-path."""

    reverse_path: str
    to: str
    content: bytes


def late_bounce(
    hostname: str, reverse_path: str, recipient: str, content: bytes, now: float, name: str
) -> AnsweringMail:
    """Return the DSN of a server that accepted the mail, and could not deliver it. `name` makes its fields unique."""
    status = RecipientStatus(recipient, LATE_REPLY, remote=hostname, attempted_at=now)
    original = OriginalMessage(name, reverse_path, now, content)
    report = compose(Action.FAILED, original, [status], hostname=hostname, report_id=name, now=now)
    return AnsweringMail("", reverse_path, report)


def automatic_answer(reverse_path: str, recipient: str, content: bytes, now: float, name: str) -> AnsweringMail:
    """Return an out-of-office answer, which goes to the reverse-path from a null one (RFC 3834 sections 3.3 and 4)."""
    found = fields(content)
    lines = (
        f"From: <{recipient}>",
        f"To: <{reverse_path}>",
        f"Subject: Automatic reply: {first_text(content, found, b'subject')[:200]}",
        *_answer_fields(content, now, name, recipient),
        "Auto-Submitted: auto-replied",
    )
    text = "I am out of the office until Monday. Your message was not forwarded."
    return AnsweringMail("", reverse_path, _mail(lines, text))


def persons_answer(reverse_path: str, recipient: str, content: bytes, now: float, name: str) -> AnsweringMail:
    """Return the answer of a person, which goes to Reply-To, else to From, else to the reverse-path."""
    found = fields(content)
    to = _mailbox(first_text(content, found, b"reply-to")) or _mailbox(first_text(content, found, b"from"))
    lines = (
        f"From: Simulated Person <{recipient}>",
        f"To: <{to or reverse_path}>",
        f"Subject: Re: {first_text(content, found, b'subject')[:200]}",
        *_answer_fields(content, now, name, recipient),
    )
    text = "Thank you, that answers my question. One more: can we meet on Tuesday?\r\n\r\nAda"
    return AnsweringMail(recipient, to or reverse_path, _mail(lines, text))


def complaint(hostname: str, reverse_path: str, recipient: str, content: bytes, now: float, name: str) -> AnsweringMail:
    """Return a feedback report of type abuse (RFC 5965), which goes to the reverse-path."""
    boundary = f"={name}="
    lines = (
        f"From: <feedback@{hostname}>",
        f"To: <{reverse_path}>",
        "Subject: Complaint about your message",
        f"Date: {mail_date(now)}",
        f"Message-ID: <{name}@{hostname}>",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/report; report-type=feedback-report; boundary="{boundary}"',
    )
    report = (
        "Feedback-Type: abuse",
        "User-Agent: relay-simulator/1",
        "Version: 1",
        f"Original-Mail-From: <{reverse_path}>",
        f"Original-Rcpt-To: <{recipient}>",
        f"Arrival-Date: {mail_date(now)}",
    )
    parts = (
        ("text/plain; charset=us-ascii", b"The recipient marked this message as spam."),
        ("message/feedback-report", _lines(report)),
        ("text/rfc822-headers", content[: body_start(content)]),
    )
    body = b"".join(f"--{boundary}\r\nContent-Type: {kind}\r\n\r\n".encode() + text + b"\r\n" for kind, text in parts)
    return AnsweringMail("", reverse_path, _lines(lines) + b"\r\n" + body + f"--{boundary}--\r\n".encode())


def _answer_fields(content: bytes, now: float, name: str, recipient: str) -> tuple[str, ...]:
    message_id = first_text(content, fields(content), b"message-id")
    about = (f"In-Reply-To: {message_id}", f"References: {message_id}") if message_id else ()
    domain = recipient.rpartition("@")[2]
    return (f"Date: {mail_date(now)}", f"Message-ID: <{name}@{domain}>", *about)


def _mailbox(value: str) -> str:
    found = parse_address_list(value)
    return "" if isinstance(found, Unreadable) or not found else found[0].address


def _mail(lines: tuple[str, ...], text: str) -> bytes:
    mime = ("MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit")
    return _lines((*lines, *mime)) + b"\r\n" + text.encode() + b"\r\n"


def _lines(lines: tuple[str, ...]) -> bytes:
    return "".join(f"{line}\r\n" for line in lines).encode("utf-8", "replace")
