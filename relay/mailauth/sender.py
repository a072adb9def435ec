"""Authenticates the sender of a transaction: whether the reverse-path is its own."""

from ipaddress import ip_address

from relay.mail.authors import author_of
from relay.mail.canonical_address import canonical, domain_of
from relay.mail.transaction import Transaction
from relay.mailauth.dmarc import aligned
from relay.mailauth.evaluate import Authentication, evaluate
from relay.resolver import Lookups


async def authenticate(dns: Lookups, transaction: Transaction) -> Authentication:
    """Evaluate SPF, DKIM and DMARC of a mail."""
    session, envelope = transaction.session, transaction.envelope
    return await evaluate(dns, transaction.content, ip_address(session.client), session.helo, envelope.reverse_path)


def is_sender_proven(seen: Authentication, transaction: Transaction) -> bool:
    """Whether the reverse-path is the sender's: SPF passes for it, or the author signed and it is the author's.

    A signature alone proves no reverse-path: anybody can send signed mail again.
    """
    path = transaction.envelope.reverse_path
    if not path:
        return False
    if seen.identity == "mailfrom" and seen.spf.result == "pass":
        return True
    is_author = canonical(author_of(transaction.content)) == canonical(path)
    signers = (one.domain for one in seen.signatures if one.result == "pass")
    return is_author and any(aligned(signer, domain_of(path), "relaxed") for signer in signers)
