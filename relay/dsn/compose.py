"""Composes DSNs (RFC 3464 in the multipart/report of RFC 6522; UTF-8 addresses by RFC 6533). Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from relay.mail.headers import body_start
from relay.mail.received import mail_date
from relay.mail.reply import Reply
from relay.mail.smtp_command import decode_xtext


class Action(StrEnum):
    """Action field of a recipient (RFC 3464 section 2.3.3)."""

    FAILED = "failed"
    DELAYED = "delayed"
    RELAYED = "relayed"


@dataclass(frozen=True, slots=True)
class RecipientStatus:
    """Delivery status of one recipient."""

    recipient: str
    reply: Reply
    orcpt: str = ""
    """Original recipient in ORCPT form, its address in xtext: "rfc822;some+2Bone@example.com"."""
    remote: str = ""
    """Server that replied, "" for relay's own reply."""
    attempted_at: float = 0.0
    retry_until: float = 0.0
    """Unix seconds until which a delayed recipient is retried."""
    explanation: str = ""
    """Meaning of the reply and possible remedies, for people."""


@dataclass(frozen=True, slots=True)
class OriginalMessage:
    """The message that a DSN is about."""

    queue_id: str
    reverse_path: str
    arrived_at: float
    content: bytes
    envid: str = ""
    """Envelope identifier (ENVID) in xtext."""
    full: bool = False
    """Whether the whole content is returned, not only its header (RET=FULL, RFC 3461 section 4.3)."""


_SUBJECTS = {
    Action.FAILED: "Your message could not be delivered",
    Action.DELAYED: "Your message is delayed",
    Action.RELAYED: "Your message was handed on",
}

_OPENINGS = {
    Action.FAILED: "Your message could not be delivered to:",
    Action.DELAYED: (
        "Your message has not been delivered yet. It stays in the queue and is tried again;\r\n"
        "you need not send it again. It is waiting to reach:"
    ),
    Action.RELAYED: "Your message was handed on to a mail server that does not report further, for:",
}


def compose(
    action: Action,
    original: OriginalMessage,
    statuses: Sequence[RecipientStatus],
    *,
    hostname: str,
    report_id: str,
    now: float,
) -> bytes:
    """Return the complete DSN with CRLF line ends, to be sent from the null reverse-path to the original's.

    `report_id` makes Message-ID and boundary unique. Addresses outside ASCII require the parts of RFC 6533.
    """
    boundary = f"={report_id}="
    header = _header(action, original, hostname, report_id, boundary, now)
    status = _status(action, original, statuses, hostname)
    international = not (status.isascii() and original.reverse_path.isascii())
    parts = (
        _part("text/plain; charset=utf-8", "8bit", _text(action, original, statuses, hostname).encode()),
        _part(
            "message/global-delivery-status" if international else "message/delivery-status",
            "8bit" if international else "7bit",
            status.encode(),
        ),
        _returned(original),
    )
    delimiter = f"--{boundary}\r\n".encode()
    body = b"".join(delimiter + part for part in parts)

    return header.encode() + b"\r\n" + body + f"--{boundary}--\r\n".encode()


def _header(action: Action, original: OriginalMessage, hostname: str, report_id: str, boundary: str, now: float) -> str:
    lines = (
        f"From: Mail Delivery System <MAILER-DAEMON@{hostname}>",
        f"To: <{original.reverse_path}>",
        f"Subject: {_SUBJECTS[action]}",
        f"Date: {mail_date(now)}",
        f"Message-ID: <{report_id}@{hostname}>",
        "Auto-Submitted: auto-replied",
        "MIME-Version: 1.0",
        "Content-Type: multipart/report; report-type=delivery-status;",
        f'\tboundary="{boundary}"',
    )
    return "".join(f"{line}\r\n" for line in lines)


def _part(content_type: str, encoding: str, body: bytes) -> bytes:
    header = f"Content-Type: {content_type}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return header.encode() + body + b"\r\n"


def _text(action: Action, original: OriginalMessage, statuses: Sequence[RecipientStatus], hostname: str) -> str:
    lines = [f"This is the mail system at {hostname}.", "", _OPENINGS[action], ""]
    for status in statuses:
        lines.append(f"  {status.recipient}")
        label = f"{status.remote} said" if status.remote else "Reason"
        lines.append(f"    {label}: {_one_line(str(status.reply))}")
        if status.explanation:
            lines.append(f"    {status.explanation}")
        if status.retry_until:
            lines.append(f"    It will be tried until {mail_date(status.retry_until)}.")
        lines.append("")
    lines.append(f"Queue id: {original.queue_id}")
    return "".join(f"{line}\r\n" for line in lines)


def _status(action: Action, original: OriginalMessage, statuses: Sequence[RecipientStatus], hostname: str) -> str:
    """Return the body of the delivery-status part (RFC 3464 section 2)."""
    message = [f"Reporting-MTA: dns; {hostname}", f"X-Relay-Queue-Id: {original.queue_id}"]
    if envid := decode_xtext(original.envid):
        message.insert(0, f"Original-Envelope-Id: {envid}")
    message.append(f"Arrival-Date: {mail_date(original.arrived_at)}")
    groups = [message, *(_recipient_fields(action, status) for status in statuses)]
    return "\r\n".join("".join(f"{line}\r\n" for line in group) for group in groups)


def _recipient_fields(action: Action, status: RecipientStatus) -> list[str]:
    kind = "rfc822" if status.recipient.isascii() else "utf-8"
    lines = []
    kind_of_original, _, encoded = status.orcpt.partition(";")
    if address := decode_xtext(encoded):
        lines.append(f"Original-Recipient: {kind_of_original}; {address}")

    lines += [
        f"Final-Recipient: {kind}; {status.recipient}",
        f"Action: {action}",
        f"Status: {_status_code(action, status.reply)}",
    ]
    if status.remote:
        lines.append(f"Remote-MTA: dns; {_mta_name(status.remote)}")

    lines.append(f"Diagnostic-Code: smtp; {_one_line(_ascii(str(status.reply)))}")
    if status.attempted_at:
        lines.append(f"Last-Attempt-Date: {mail_date(status.attempted_at)}")
    if status.retry_until:
        lines.append(f"Will-Retry-Until: {mail_date(status.retry_until)}")

    return lines


def _mta_name(remote: str) -> str:
    """Return the host of `name[address]:port`: its name, else its address literal (RFC 3464 section 2.1.2)."""
    name, bracket, rest = remote.partition("[")
    return name or f"{bracket}{rest.partition(']')[0]}]"


def _status_code(action: Action, reply: Reply) -> str:
    """Return the enhanced status in the class of the action (RFC 3464 section 2.3.4)."""
    wanted = {Action.FAILED: "5", Action.DELAYED: "4", Action.RELAYED: "2"}[action]
    if not reply.status:
        return f"{wanted}.0.0"
    return wanted + reply.status[1:]


def _returned(original: OriginalMessage) -> bytes:
    """Return the part with the original message, or its header only."""
    content = original.content if original.full else original.content[: body_start(original.content)]
    encoding = "7bit" if content.isascii() else "8bit"
    return _part("message/rfc822" if original.full else "text/rfc822-headers", encoding, content)


def _ascii(text: str) -> str:
    """Return the text in ASCII: a reply does not require RFC 6533, only addresses do."""
    return text.encode("ascii", "backslashreplace").decode()


def _one_line(text: str) -> str:
    """Join the lines of a reply, because a field body has no line ends; limit it to 900 of 998 octets."""
    return " ".join(text.split()).encode("utf-8", "replace")[:900].decode("utf-8", "ignore")
