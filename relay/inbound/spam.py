"""Detects spam: mail marked by a spam filter, or with a forged author. Pure."""

from relay.config.senders import Identity
from relay.inbound.inbound_mail import InboundMail
from relay.mail.headers import fields, named
from relay.mailauth.evaluate import Authentication

_MARKS = (b"x-spam-flag", b"x-spam-status")


def spam_reason(mail: InboundMail, seen: Authentication, identity: Identity | None) -> str:
    """Return why an answer is spam, "" if it is not or if its identity accepts spam.

    A mailbox that forwards to a CC tracking address breaks SPF, so only the marks of its filter count there.
    """
    if identity is not None and identity.forward_spam:
        return ""
    return spam_mark(mail.content) or (forged_author(seen) if mail.is_exact else "")


def spam_mark(content: bytes) -> str:
    """Return the header field by which a spam filter marked the mail; "" when none did."""
    found = fields(content)
    for name in _MARKS:
        for one in named(found, name):
            value = one.value(content).strip()
            if value[:3].lower() == b"yes":
                return f"{name.decode('ascii')}: {value.decode('utf-8', 'replace')[:200]}"
    return ""


def forged_author(seen: Authentication) -> str:
    """Return why the author is forged; "" unless DMARC fails under the domain's policy (RFC 7489).

    Forged: neither SPF nor DKIM authenticates the domain, and its policy is quarantine or reject. A temporary DNS
    failure does not count.
    """
    return "" if not is_forged(seen) else f"dmarc=fail policy={seen.dmarc.policy}: {seen.dmarc.why}"


def is_forged(seen: Authentication) -> bool:
    """Whether DMARC fails under a policy other than none."""
    return seen.dmarc.result == "fail" and seen.dmarc.policy in ("quarantine", "reject")
