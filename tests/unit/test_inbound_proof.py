"""Who may speak against an address: DKIM, SPF, the return-path and the Received field; and for whose mail it counts."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import dkim
import pytest

from relay.config.settings import Settings
from relay.dsn.report import Report
from relay.inbound.addresses import CcAddress, Destination, IdentityAddress, MessageAddress
from relay.inbound.correlate import OriginalRecipient
from relay.inbound.inbound_mail import InboundMail, read_report
from relay.inbound.proof import Proof, Voucher, prove, vouchers_of
from relay.mail.transaction import Envelope, Recipient, Session, Transaction
from relay.mailauth.dkim_keys import dns_record, generate_key, load_key
from relay.mailauth.dkim_sign import sign
from relay.mailauth.dkim_verify import verify_signatures
from relay.queue.entry import Entry, State
from relay.queue.message import Message
from relay.render.message_policy import MessagePolicy
from relay.reports.ports import Story
from relay.rewrite.tokens import Kind, Token
from tests.servers.dns_server import DnsServer

QUEUE_ID = "0ABCDFGHJKLMNP"

NEWS = "news@acme.test"

SETTINGS = Settings.model_validate(
    {
        "server": {"hostname": "relay.test", "identities_domain": "mail.test"},
        "identities": {NEWS: {}, "rita@mail.test": {}},
        "provider": [{"name": "common", "host": "out.sender.test"}, {"name": "own", "host": "mx.evil.test"}],
        "defaults": {"provider": "common"},
    }
)

TOKEN = Token(Kind.BOUNCE, QUEUE_ID, 0)


def subject(
    author: str = NEWS, lane: str = "mx:rcpt.test", others: int = 0, remote: str = "mx.host.test[192.0.2.1]:25"
) -> OriginalRecipient:
    policy = MessagePolicy(domain=author.partition("@")[2], identity=author)
    entries = tuple(
        Entry(QUEUE_ID, number, f"u{number}@rcpt.test", lane, 0, 9, 0, state=State.DELIVERED, last_remote=remote)
        for number in range(1 + others)
    )
    return OriginalRecipient(QUEUE_ID, 0, Story(Message(QUEUE_ID, 0, author, policy), entries, ()))


def mail(
    destination: Destination | None = None, kind: Any = "bounce", content: bytes = b"", path: str = "", **report: Any
) -> InboundMail:
    session = Session("mx", "inbound", "192.0.2.9", "mx.rcpt.test", extended=True)
    transaction = Transaction(session, Envelope(path, (Recipient("x@acme.test"),)), content)
    return InboundMail(content, Report(kind, **report), "x@acme.test", destination, None, transaction)


def proved(given: InboundMail, about: OriginalRecipient, *vouchers: Voucher, token: Token | None = None) -> Proof:
    return prove(SETTINGS, given, about, vouchers, (token,) if token else ())


def test_a_stranger_proves_nothing() -> None:
    strangers = (
        Voucher("mailer-daemon@mx.evil.test", "mx.evil.test", "SPF"),
        Voucher("eve@rcpt.test", "rcpt.test", "DKIM"),
        Voucher("u1@rcpt.test", "rcpt.test", "DKIM"),
    )
    for destination in (None, IdentityAddress(NEWS), MessageAddress(replace(TOKEN, kind=Kind.REPLY))):
        for kind in ("bounce", "complaint"):
            assert proved(mail(destination, kind), subject(others=1), *strangers, token=replace(TOKEN, number=1)).fault
            assert proved(mail(destination, kind), subject(), token=replace(TOKEN, kind=Kind.REPLY)).fault


@pytest.mark.parametrize(
    "voucher",
    [
        Voucher("mailer-daemon@mx.rcpt.test", "mx.rcpt.test", "SPF"),
        Voucher("postmaster@rcpt.test", "rcpt.test", "DKIM"),
        Voucher("MAILER-DAEMON@host.test", "host.test", "DKIM"),
        Voucher("u0@rcpt.test", "rcpt.test", "DKIM"),
    ],
)
def test_the_server_of_the_recipient_speaks_for_all_mail_and_a_complaint_is_about_one_sender(voucher: Voucher) -> None:
    assert proved(mail(), subject(), voucher) == Proof("report", "", f"{voucher.method} of {voucher.domain}")
    assert proved(mail(kind="complaint"), subject(), voucher).scope == "acme.test"


def test_a_provider_that_all_mail_uses_speaks_too_and_one_of_a_single_sender_does_not() -> None:
    common, own = Voucher("bounce@sender.test", "sender.test", "DKIM"), Voucher("bounce@evil.test", "evil.test", "DKIM")
    assert proved(mail(), subject(lane="provider:common", remote="out.sender.test:25"), common).fault == ""
    assert proved(mail(), subject(lane="provider:own", remote="mx.evil.test:25"), own).fault


@pytest.mark.parametrize(("author", "scope"), [(NEWS, "acme.test"), ("rita@mail.test", "rita@mail.test")])
def test_a_signed_return_path_counts_for_its_sender_alone(author: str, scope: str) -> None:
    proof = proved(mail(MessageAddress(TOKEN)), subject(author), token=TOKEN)
    assert (proof.provenance, proof.scope, proof.fault) == ("signed-address", scope, "")
    in_mailbox = proved(replace(mail(), transaction=None), subject(author), token=TOKEN)
    assert (in_mailbox.provenance, in_mailbox.scope, in_mailbox.fault) == ("mailbox", scope, "")


def test_our_received_field_identifies_the_only_recipient() -> None:
    returned = (("received", f"from app\r\n\tby relay.test (relay) with ESMTP id {QUEUE_ID};\r\n\ttoday"),)
    assert proved(mail(returned=returned), subject()).scope == "acme.test"
    assert proved(mail(returned=returned), subject(others=1)).fault
    other = (("received", "by relay.test (relay) with ESMTP id 0ABCDFGHJKLMNQ; today"),)
    assert proved(mail(returned=other), subject()).fault


def test_the_mailbox_of_an_identity_speaks_for_that_identity_alone() -> None:
    proof = proved(mail(CcAddress(NEWS)), subject())
    assert (proof.provenance, proof.scope, proof.fault) == ("cc", NEWS, "")


def test_a_sender_without_a_domain_has_no_scope_of_its_own() -> None:
    assert proved(mail(MessageAddress(TOKEN)), subject("nobody"), token=TOKEN).fault


@pytest.fixture
async def dns() -> AsyncIterator[DnsServer]:
    key = load_key(generate_key("ed25519-sha256"), "rcpt.test", "s1")
    zone = f"""mx.rcpt.test. TXT "v=spf1 ip4:192.0.2.9 -all"
rcpt.test. TXT "v=spf1 ip4:198.51.100.1 -all"
s1._domainkey.rcpt.test. TXT "{dns_record(key)}"
"""
    async with DnsServer(zone) as server:
        server.key = key  # type: ignore[attr-defined]
        yield server


async def test_dkim_authenticates_an_author_of_its_domain_and_spf_the_reverse_path(dns: DnsServer) -> None:
    key = dns.key  # type: ignore[attr-defined]
    header = b"From: MAILER-DAEMON@rcpt.test\r\nTo: x@acme.test\r\nSubject: Undelivered\r\n\r\nSorry.\r\n"
    signed = sign(header, (key,), 1_700_000_000) + header
    daemon = Voucher("MAILER-DAEMON@rcpt.test", "rcpt.test", "DKIM")
    system = Voucher("mailer-daemon@mx.rcpt.test", "mx.rcpt.test", "SPF")
    assert await vouchers_of(dns.resolver(), mail(content=signed)) == (daemon, system)
    assert await vouchers_of(dns.resolver(), mail(content=header)) == (system,)
    assert await vouchers_of(dns.resolver(), mail(content=header, path="eve@rcpt.test")) == ()
    assert await vouchers_of(dns.resolver(), replace(mail(content=signed), transaction=None)) == (daemon,)

    other = header.replace(b"@rcpt.test", b"@bank.test")
    forged = sign(other, (key,), 1_700_000_000) + other
    assert await vouchers_of(dns.resolver(), mail(content=forged)) == (system,)


REPORT = b"From: %s\r\nTo: x@acme.test\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n"


@pytest.mark.parametrize(
    "change",
    [
        lambda mail: b"From: mailer-daemon@rcpt.test\r\n" + mail,
        lambda mail: mail.replace(b"\r\nTo:", b"\r\nFrom: mailer-daemon@rcpt.test\r\nTo:"),
        lambda mail: b"Content-Type: multipart/report; boundary=b\r\n" + mail,
        lambda mail: b"Content-Transfer-Encoding: base64\r\n" + mail,
    ],
)
async def test_signed_mail_of_a_person_cannot_be_made_a_report_of_the_mail_system(dns: DnsServer, change: Any) -> None:
    key = dns.key  # type: ignore[attr-defined]
    plain = REPORT % b"eve@rcpt.test"
    signed = sign(plain, (key,), 1_700_000_000) + plain
    by_eve = replace(mail(), transaction=None, content=signed)
    assert await vouchers_of(dns.resolver(), by_eve) == (Voucher("eve@rcpt.test", "rcpt.test", "DKIM"),)
    assert await vouchers_of(dns.resolver(), replace(by_eve, content=change(signed))) == ()


async def test_an_author_among_others_and_a_signature_of_a_part_prove_nothing(dns: DnsServer) -> None:
    key = dns.key  # type: ignore[attr-defined]
    for author in (b"mailer-daemon@rcpt.test, eve@rcpt.test", b"mailer-daemon@rcpt.test"):
        plain = REPORT % author
        signed = sign(plain, (key,), 1_700_000_000) + plain
        if b"," not in author:
            [one] = await verify_signatures(dns.resolver(), signed)
            assert one.covers(signed, (b"from", b"content-type"))
            assert not replace(one, is_partial=True).covers(signed, (b"from",))
            assert not replace(one, covered=frozenset({"from"})).covers(signed, (b"from", b"content-type"))
        else:
            assert await vouchers_of(dns.resolver(), replace(mail(), transaction=None, content=signed)) == ()


async def test_a_signature_without_content_type_authenticates_what_the_body_shows_by_itself() -> None:
    """Google signs so."""
    key = load_key(generate_key("rsa-sha256", 1024), "rcpt.test", "g1")
    header = b"From: mailer-daemon@rcpt.test\r\nTo: x@acme.test\r\nSubject: Undelivered\r\n"
    whole = header + b"\r\n--B\r\n\r\nSorry.\r\n--b\r\n\r\nx\r\n--b--\r\n--B--\r\n"
    names = [b"from", b"to", b"subject"]
    signed = dkim.sign(whole, b"g1", b"rcpt.test", key.pem, include_headers=names) + whole
    async with DnsServer(f'g1._domainkey.rcpt.test. TXT "{dns_record(key)}"\n') as server:
        for boundary, expected in ((b"B", ["mailer-daemon@rcpt.test"]), (b"b", [])):
            content = b"Content-Type: multipart/report; boundary=" + boundary + b"\r\n" + signed
            found = await vouchers_of(server.resolver(), replace(mail(), transaction=None, content=content))
            assert [one.address for one in found] == expected


NOTE = (
    b"From: mailer-daemon@rcpt.test\r\nTo: x@acme.test\r\nSubject: Undelivered Mail Returned to Sender\r\n\r\n"
    b"Delivery to the following recipient failed permanently:\r\n\r\n    u1@rcpt.test\r\n\r\n550 5.1.1 no such user\r\n"
)


@pytest.mark.parametrize(
    ("added", "counts"),
    [
        (b"Received: from a by b; today\r\nX-Spam: no\r\nReturn-Path: <>\r\nDelivered-To: box@acme.test\r\n", True),
        (b"X-Failed-Recipients: u1@rcpt.test\r\n", True),
        (b"X-Failed-Recipients: u0@rcpt.test, u1@rcpt.test\r\n", False),
        (b"Reply-To: u1@rcpt.test\r\n", False),
    ],
)
async def test_fields_that_are_not_signed_decide_nothing(dns: DnsServer, added: bytes, counts: bool) -> None:
    content = added + sign(NOTE, (dns.key,), 1_700_000_000) + NOTE  # type: ignore[attr-defined]
    given = replace(mail(content=content), report=read_report(content), transaction=None)
    expected = (Voucher("mailer-daemon@rcpt.test", "rcpt.test", "DKIM"),) if counts else ()
    assert await vouchers_of(dns.resolver(), given) == expected
