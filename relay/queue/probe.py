"""Probes: test messages that go to a provider through the queue like all mail. Pure."""

from dataclasses import dataclass

from relay.mail.address import is_ascii
from relay.mail.received import mail_date
from relay.mail.transaction import Recipient
from relay.queue.message import NO_DSN, Message, NewMessage, own_message
from relay.render.message_policy import MessagePolicy

LIFETIME = 600.0
"""Seconds until a probe expires."""

TEST = "test"
"""Metadata key of probes. Its value is the name of the provider."""


@dataclass(frozen=True, slots=True)
class Probe:
    """The provider to test, and the addresses of the probe."""

    provider: str
    from_address: str
    to_address: str
    hostname: str
    domain: str = ""
    """Sending domain whose keys sign the probe, "" for no signature."""
    return_path: str = ""
    bounce_address: str = ""


def probe_message(probe: Probe, queue_id: str, now: float) -> NewMessage:
    """Return the probe as a new message. It has no fallback providers, and causes no notification."""
    subject = f"relay test: {probe.provider} from {probe.hostname}"
    message_id = f"<{queue_id}@{probe.hostname}>"
    content = _content(probe, subject, message_id, queue_id, now)

    message = Message(
        queue_id=queue_id,
        created_at=now,
        reverse_path=probe.from_address,
        policy=MessagePolicy(
            domain=probe.domain,
            return_path=probe.return_path,
            bounce_address=probe.bounce_address,
            provider=probe.provider,
        ),
        smtputf8=not (is_ascii(probe.from_address) and is_ascii(probe.to_address)),
        message_id=message_id,
        header_from=probe.from_address,
        subject=subject,
        metadata={TEST: probe.provider},
        origin="test",
    )
    recipient = Recipient(probe.to_address, NO_DSN)
    return own_message(message, content, [recipient], lifetime=LIFETIME, about={TEST: probe.provider})


def _content(probe: Probe, subject: str, message_id: str, queue_id: str, now: float) -> bytes:
    lines = (
        f"From: relay <{probe.from_address}>",
        f"To: <{probe.to_address}>",
        f"Subject: {subject}",
        f"Date: {mail_date(now)}",
        f"Message-ID: {message_id}",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
        "",
        f"This is a test of the provider {probe.provider} by the relay on {probe.hostname}.",
        "It went through its queue, was rendered and signed, and was delivered like all mail. It arrived.",
        "",
        f"Queue id: {queue_id}",
    )
    return "".join(f"{line}\r\n" for line in lines).encode()
