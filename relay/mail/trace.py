"""The trace field a relay puts in front of what it takes (RFC 5321 section 4.4)."""

from relay.mail.date import mail_date
from relay.mail.envelope import Envelope
from relay.mail.session import Session


def received(queue_id: str, session: Session, envelope: Envelope, hostname: str, now: float) -> str:
    """Return our trace field; it names the recipient only when there is one, so that none learns of another."""
    literal = f"IPv6:{session.client}" if ":" in session.client else session.client
    only = f"\r\n\tfor <{envelope.recipients[0].address}>" if len(envelope.recipients) == 1 else ""
    return (
        f"Received: from {session.helo or 'unknown'} ([{literal}])\r\n"
        f"\tby {hostname} (relay) with {_with(session, envelope)} id {queue_id}{only};\r\n\t{mail_date(now)}"
    )


def _with(session: Session, envelope: Envelope) -> str:
    """Return the protocol of the transmission (RFC 3848, RFC 6531 section 4.3)."""
    secured = ("S" if session.tls else "") + ("A" if session.credential else "")
    if envelope.smtputf8:
        return f"UTF8SMTP{secured}"
    return f"ESMTP{secured}" if session.extended else "SMTP"
