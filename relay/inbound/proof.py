"""What a report proves: who brings it, for whose mail it counts, or why it proves nothing.

Anybody can write a report. It counts when its sender may speak for the recipient's server, by DKIM or SPF. Otherwise it
must have what only the recipient's side has: the signed return-path, or the Received field of a message to it alone.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal

from relay.config.settings import Settings
from relay.inbound.addresses import CcAddress
from relay.inbound.correlate import OriginalRecipient
from relay.inbound.inbound_mail import InboundMail, read_report
from relay.mail import authors
from relay.mail.canonical_address import canonical, domain_of
from relay.mail.domain_name import speaks_for
from relay.mail.headers import fields, without
from relay.mail.received import queue_id_in
from relay.mailauth.bounded_lookups import BoundedLookups
from relay.mailauth.dkim_verify import Signature, verify_signatures
from relay.mailauth.signed_content_type import fixes_content_type
from relay.mailauth.spf import check_host
from relay.queue.entry import Entry
from relay.resolver import Lookups
from relay.rewrite.tokens import Kind, Token
from relay.suppression.model import EVERYWHERE, Provenance, own_scope, session_scope

SYSTEMS = frozenset({"mailer-daemon", "mailerdaemon", "mail-daemon", "mdaemon", "postmaster", "bounce", "bounces"}) | {
    *("abuse", "arf", "complaints", "fbl", "feedback", "feedbackloop", "staff"),
}
"""Local parts of mail systems and feedback loops. A mailbox provider gives none of them to a customer."""


_DECISIVE = (b"from", b"content-transfer-encoding")
"""Fields by which a mail is read as a report of its author, with Content-Type."""

_OF_MIME = frozenset({b"content-type", b"mime-version"})
"""Fields that need no signature, where the signed body settles how it is read."""


@dataclass(frozen=True, slots=True)
class Voucher:
    """An address for which DKIM or SPF authenticates a mail, and the domain that passed."""

    address: str
    domain: str
    method: Literal["DKIM", "SPF"]


@dataclass(frozen=True, slots=True)
class Proof:
    """How a report came and the scope it proves. `fault` is the reason why it proves nothing, "" if it does."""

    provenance: Provenance
    scope: str
    """Sending domain or identity; "" for all mail."""
    by: str = ""
    """What authenticates the report, in words."""
    fault: str = ""


async def vouchers_of(dns: Lookups, mail: InboundMail) -> tuple[Voucher, ...]:
    """Return the addresses for which DKIM or SPF authenticates the mail: its author, and its reverse-path.

    A signature counts for the only author, of its domain, if it covers what decides how the mail is read. Otherwise
    signed mail of a person could be changed into a report of the mail system, about another recipient.

    The null reverse-path stands for the mail system of the HELO name (RFC 7208 section 2.4). Mail of a mailbox has no
    reverse-path.
    """
    dns, author = BoundedLookups(dns), authors.sole_author_of(mail.content)
    found = [
        Voucher(author, one.domain, "DKIM")
        for one in await verify_signatures(dns, mail.content)
        if one.result == "pass" and author and speaks_for(one.domain, domain_of(author))
        if fixes_content_type(one, mail.content, _DECISIVE) and await _is_read_alike(one, mail)
    ]
    if mail.transaction is None:
        return tuple(found)

    session, path = mail.transaction.session, mail.transaction.envelope.reverse_path
    domain = domain_of(path) or session.helo.lower()
    spf = await check_host(dns, ip_address(session.client), domain, path, session.helo)
    if spf.result == "pass":
        found.append(Voucher(path or f"mailer-daemon@{domain}", domain, "SPF"))
    return tuple(found)


async def _is_read_alike(signature: Signature, mail: InboundMail) -> bool:
    """Whether the report says the same without the fields that are not signed, as X-Failed-Recipients of Google."""
    unsigned = [
        one
        for one in fields(mail.content)
        if one.name.decode() not in signature.covered and one.name not in _OF_MIME | {b"dkim-signature"}
    ]
    if not unsigned:
        return True
    signed = await asyncio.to_thread(read_report, without(mail.content, unsigned))
    return (signed.kind, signed.recipients, signed.feedback) == (
        mail.report.kind,
        mail.report.recipients,
        mail.report.feedback,
    )


def prove(
    settings: Settings,
    mail: InboundMail,
    subject: OriginalRecipient,
    vouchers: Sequence[Voucher],
    tokens: Collection[Token],
) -> Proof:
    """Return what a report proves about the recipient.

    `tokens` are those of the address it was sent to, or in it. A complaint is about mail of one sender, whoever
    forwards it.
    """
    policy = subject.story.message.policy
    own = own_scope(settings, policy.domain, policy.identity)
    provenance: Provenance = "mailbox" if mail.transaction is None else "report"
    if isinstance(mail.destination, CcAddress):
        return Proof("cc", mail.destination.identity, "forwarded by the mailbox of the identity")

    if (voucher := _speaker(settings, subject, vouchers)) is not None:
        scope = own if mail.report.kind == "complaint" else EVERYWHERE
        proof = Proof(provenance, scope, f"{voucher.method} of {voucher.domain}")
    elif Token(Kind.BOUNCE, subject.queue_id, subject.number) in tokens:
        direct = mail.transaction is not None
        proof = Proof("signed-address" if direct else provenance, own, "the signed return-path of the message")
    elif _returns_our_field(settings.server.hostname, mail, subject):
        proof = Proof(provenance, own, "the returned Received field of the message")
    else:
        recipient = subject.address
        fault = f"neither DKIM nor SPF of a server that speaks for <{recipient}>, nor what only its side has, proves it"
        return Proof(provenance, own, fault=fault)
    if not proof.scope and not own and proof.provenance != "report":
        return Proof(proof.provenance, own, fault="its message has no sending domain for which it could count")
    return proof


def _speaker(settings: Settings, subject: OriginalRecipient, vouchers: Sequence[Voucher]) -> Voucher | None:
    """Return the voucher that may speak for the recipient's server: the recipient, or a system of its domain or MX.

    A provider of one domain speaks for no recipient: only the servers that all mail uses do.
    """
    entry = subject.entry
    if entry is None:
        return None
    policy = subject.story.message.policy
    domains = {domain_of(entry.recipient)}
    if session_scope(settings, entry.lane, policy.domain, policy.identity) == EVERYWHERE:
        domains.update(_remote_host(entry))
    return next((one for one in vouchers if _speaks(one, entry, domains)), None)


def _speaks(voucher: Voucher, entry: Entry, domains: Collection[str]) -> bool:
    if canonical(voucher.address) == canonical(entry.recipient):
        return True
    local = canonical(voucher.address).rpartition("@")[0]
    return local in SYSTEMS and any(speaks_for(voucher.domain, one) for one in domains)


def _remote_host(entry: Entry) -> tuple[str, ...]:
    """Return the name of the server that took the message; none for an address literal."""
    name = entry.last_remote.partition("[")[0].partition(":")[0].strip()
    return (name,) if "." in name else ()


def _returns_our_field(hostname: str, mail: InboundMail, subject: OriginalRecipient) -> bool:
    """Whether the report returns our Received field, which cannot be guessed, of a message with one recipient."""
    message, entries = subject.story.message, subject.story.entries
    if sum(1 for one in entries if one.number not in message.policy.copies) != 1:
        return False
    traces = (queue_id_in(value, hostname) for name, value in mail.report.returned if name == "received")
    return subject.queue_id in traces
