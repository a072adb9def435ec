"""Tests of providers: messages that go to a provider through the queue like all mail. Pure."""

from dataclasses import dataclass

from relay.mail.address import is_ascii
from relay.mail.received import mail_date
from relay.mail.transaction import Recipient
from relay.queue.message import NO_DSN, Message, NewMessage, own_message
from relay.render.message_policy import MessagePolicy

LIFETIME = 600.0
"""Seconds until a test message expires."""

TEST = "test"
"""Metadata key of test messages. Its value is the name of the provider."""


@dataclass(frozen=True, slots=True)
class ProviderTest:
    """The provider to test, and the addresses of the test message."""

    provider: str
    from_address: str
    to_address: str
    hostname: str
    domain: str = ""
    """Sending domain whose keys sign the message, "" for no signature."""
    return_path: str = ""
    bounce_address: str = ""


def provider_test_message(test: ProviderTest, queue_id: str, now: float) -> NewMessage:
    """Return the test message. It has no fallback providers, and causes no notification."""
    subject = f"relay test: {test.provider} from {test.hostname}"
    message_id = f"<{queue_id}@{test.hostname}>"
    content = _content(test, subject, message_id, queue_id, now)

    message = Message(
        queue_id=queue_id,
        created_at=now,
        reverse_path=test.from_address,
        policy=MessagePolicy(
            domain=test.domain,
            return_path=test.return_path,
            bounce_address=test.bounce_address,
            provider=test.provider,
        ),
        smtputf8=not (is_ascii(test.from_address) and is_ascii(test.to_address)),
        message_id=message_id,
        header_from=test.from_address,
        subject=subject,
        metadata={TEST: test.provider},
        origin="test",
    )
    recipient = Recipient(test.to_address, NO_DSN)
    return own_message(message, content, [recipient], lifetime=LIFETIME, about={TEST: test.provider})


def _content(test: ProviderTest, subject: str, message_id: str, queue_id: str, now: float) -> bytes:
    lines = (
        f"From: relay <{test.from_address}>",
        f"To: <{test.to_address}>",
        f"Subject: {subject}",
        f"Date: {mail_date(now)}",
        f"Message-ID: {message_id}",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
        "",
        f"This is a test of the provider {test.provider} by the relay on {test.hostname}.",
        "It went through its queue, was rendered and signed, and was delivered like all mail. It arrived.",
        "",
        f"Queue id: {queue_id}",
    )
    return "".join(f"{line}\r\n" for line in lines).encode()
