"""Feedback reports, unsubscribes and forgotten messages in returned mail, over a real store."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from relay.config.settings import Settings
from relay.domains.mail_exchanger import MailExchanger
from relay.events.event import Kind
from relay.mail.queue_id import queue_id
from relay.mail.transaction import Envelope, Recipient, Session, Transaction
from relay.mailauth.dkim_keys import SigningKey, dns_record, generate_key, load_key
from relay.mailauth.dkim_sign import sign
from relay.queue.entry import Entry, State
from relay.queue.message import Message, NewMessage
from relay.render.message_policy import MessagePolicy
from relay.rewrite.tokens import Kind as TokenKind
from relay.suppression.ports import SuppressionQuery, UnsubscribeQuery
from tests.servers.dns_server import DnsServer
from tests.unit.inbound_bench import NOW, SETTINGS, Bench, address, bench, bounce

__all__ = ["bench"]

OWN = MailExchanger("own")


def via(to: str, content: bytes, reverse_path: str = "") -> Transaction:
    session = Session("mx", "inbound", "192.0.2.9", "mx.rcpt.test", extended=True)
    return Transaction(session, Envelope(reverse_path, (Recipient(to),)), content)


@pytest.mark.parametrize("kind", [TokenKind.BOUNCE, TokenKind.REPLY])
async def test_mail_about_a_forgotten_message_is_refused_and_proves_nothing(bench: Bench, kind: TokenKind) -> None:
    forgotten = address(kind, queue_id(NOW, 99))
    reply = b"From: Ben <ben@rcpt.test>\r\nAuto-Submitted: auto-replied\r\n\r\nAway.\r\n"
    for content in (bounce(recipient="victim@bank.test"), feedback("abuse"), reply):
        taken = await bench.intake.process(content, forgotten, via(forgotten, content))
        assert (taken.joined, taken.events, taken.refusal and taken.refusal.code) == (False, (), 550)
        assert (await bench.intake.process(content + b"To: " + forgotten.encode())).events == ()
    assert await bench.suppressed() == []


BUTTON = b"From: %s\r\nSubject: unsubscribe\r\nIn-Reply-To: <78@acme.test>\r\nMessage-ID: <u@x.test>\r\n\r\n"


@pytest.fixture
async def signing(bench: Bench) -> AsyncIterator[SigningKey]:
    """Lookups of a name server that has a DKIM key and the SPF record of rcpt.test."""
    key = load_key(generate_key("ed25519-sha256"), "rcpt.test", "s1")
    zone = f's1._domainkey.rcpt.test. TXT "{dns_record(key)}"\nrcpt.test. TXT "v=spf1 ip4:192.0.2.9 -all"\n'
    async with DnsServer(zone) as server:
        bench.resolver = server.resolver
        identities = {"news@acme.test": {"forward_to": ["box@home.test"]}}
        bench.settings = Settings.model_validate({"domains": SETTINGS.domains, "identities": identities})
        yield key


@pytest.mark.parametrize(
    ("signed", "client", "path", "counts"),
    [
        (False, "", "", False),
        (True, "", "", True),
        (False, "192.0.2.8", "ben@rcpt.test", False),
        (False, "192.0.2.9", "ada@rcpt.test", False),
        (False, "192.0.2.9", "ben@rcpt.test", True),
        (True, "192.0.2.8", "list@else.test", True),
    ],
)
async def test_nobody_unsubscribes_another_person_by_writing_its_name(
    bench: Bench, signing: SigningKey, signed: bool, client: str, path: str, counts: bool
) -> None:
    mail = BUTTON % b"ben@rcpt.test"
    mail = sign(mail, (signing,), 1_700_000_000) + mail if signed else mail
    to = "news@acme.test"
    transaction = via(to, mail, path)
    transaction = replace(transaction, session=replace(transaction.session, client=client))
    # The address of the identity leads here only by its MX; the mailbox has any address.
    own = {"exchanger_of": lambda _: OWN}
    policy = MessagePolicy(domain="acme.test", identity=to)
    message = Message(queue_id(NOW, 8), NOW, to, policy, message_id="<78@acme.test>", header_from=to)
    entry = Entry(message.queue_id, 0, "ben@rcpt.test", "mx:rcpt.test", NOW, NOW + 9, NOW, state=State.DELIVERED)
    await bench.store.queue.enqueue(NewMessage(message, b"x", (entry,)))
    taken = await replace(bench.intake, **own).process(mail, to if client else "", transaction if client else None)  # type: ignore[arg-type]
    events = [one for one in taken.events if one.kind in (Kind.REPLY, Kind.UNSUBSCRIBE)]
    assert [one.kind for one in events] == [Kind.UNSUBSCRIBE if counts else Kind.REPLY]
    listed = [one.address for one in await bench.store.unsubscribes.find(UnsubscribeQuery())]
    assert listed == (["ben@rcpt.test"] if counts else [])
    if not counts:
        assert "not_unsubscribed" in events[0].data
        assert [one.kind for one in taken.events if one.kind is Kind.CREATED] == ([Kind.CREATED] if client else [])


def feedback(kind: str) -> bytes:
    return f"""\
From: fbl@rcpt.test
Subject: report
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary=b

--b

A report.
--b
Content-Type: message/feedback-report

Feedback-Type: {kind}
User-Agent: F/1
Version: 1

--b
Content-Type: message/rfc822

Message-ID: <77@acme.test>

hi
--b--
""".replace("\n", "\r\n").encode()


@pytest.mark.parametrize(
    ("kind", "recorded", "suppressed"),
    [
        ("abuse", Kind.COMPLAINT, True),
        ("Fraud", Kind.COMPLAINT, True),
        ("complaint", Kind.COMPLAINT, True),
        ("\n abuse", Kind.COMPLAINT, True),
        ("(RFC 5965)\n\tabuse (spam)", Kind.COMPLAINT, True),
        ("\n not-spam", Kind.FEEDBACK, False),
        ("auth-failure", Kind.FEEDBACK, False),
        ("not-spam", Kind.FEEDBACK, False),
        ("opt-out", Kind.FEEDBACK, False),
        ("virus", Kind.FEEDBACK, False),
        ("other", Kind.FEEDBACK, False),
        ("x-vendor", Kind.FEEDBACK, False),
    ],
)
async def test_only_complaints_suppress(bench: Bench, kind: str, recorded: Kind, suppressed: bool) -> None:
    (event,) = (await bench.intake.process(feedback(kind), address())).events
    plain = kind.replace("(RFC 5965)", "").replace("(spam)", "").strip().lower()
    assert (event.kind, event.data["feedback_type"]) == (recorded, plain)
    found = await bench.store.suppressions.find(SuppressionQuery())
    assert [one.address for one in found] == (["ben@rcpt.test"] if suppressed else [])
