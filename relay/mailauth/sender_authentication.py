"""Authenticates the sender of a transaction: whether the reverse-path is its own."""

from collections.abc import Sequence
from ipaddress import ip_address

from relay.mail.authors import sole_author_of
from relay.mail.canonical_address import canonical, domain_of
from relay.mail.domain_name import speaks_for
from relay.mail.transaction import Transaction
from relay.mailauth.bounded_lookups import BoundedLookups
from relay.mailauth.dkim_verify import Signature, verify_signatures
from relay.mailauth.evaluate import Authentication, evaluate
from relay.mailauth.signed_content_type import fixes_content_type
from relay.mailauth.spf import check_host
from relay.resolver import Lookups

AUTHOR_FIELDS = (b"from", b"subject", b"content-transfer-encoding")
"""Fields that a signature must cover if it proves who wrote the text, with Content-Type."""


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
    return _is_author(transaction.content, path) and _is_signed(seen.signatures, path)


def is_author_proven(seen: Authentication, transaction: Transaction) -> bool:
    """Whether the only author wrote the mail: its domain signed it, or SPF passes for it as the reverse-path."""
    author = sole_author_of(transaction.content)
    is_path = bool(author) and canonical(transaction.envelope.reverse_path) == canonical(author)
    by_spf = is_path and seen.identity == "mailfrom" and seen.spf.result == "pass"
    return by_spf or _wrote(transaction.content, author, seen.signatures)


async def is_author_signed(dns: Lookups, content: bytes) -> bool:
    """Whether the domain of the only author signed the mail."""
    return _wrote(content, sole_author_of(content), await verify_signatures(BoundedLookups(dns), content))


def _wrote(content: bytes, author: str, signatures: Sequence[Signature]) -> bool:
    return bool(author) and any(
        fixes_content_type(one, content, AUTHOR_FIELDS) for one in signatures if _is_signed((one,), author)
    )


async def prove_sender(dns: Lookups, content: bytes, client: str, helo: str, reverse_path: str) -> bool:
    """Whether SPF or DKIM proves the reverse-path of a stored message, by the rule of `is_sender_proven`.

    `client` is the address that sent it. Without an answer of DNS within PROOF_SECONDS nothing is proven.
    """
    if not client or not reverse_path:
        return False
    dns = BoundedLookups(dns)
    spf = await check_host(dns, ip_address(client), domain_of(reverse_path), reverse_path, helo)
    if spf.result == "pass":
        return True
    return _is_author(content, reverse_path) and _is_signed(await verify_signatures(dns, content), reverse_path)


def _is_author(content: bytes, path: str) -> bool:
    return canonical(sole_author_of(content)) == canonical(path)


def _is_signed(signatures: Sequence[Signature], path: str) -> bool:
    """Whether the domain of the reverse-path has signed."""
    signers = (one.domain for one in signatures if one.result == "pass")
    return any(speaks_for(signer, domain_of(path)) for signer in signers)
