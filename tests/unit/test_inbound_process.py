"""Taking in what comes back, over a real store: joined by token or Message-ID, recorded once, believed."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

import pytest

from relay.config.settings import Settings
from relay.domains.mail_exchanger import UNKNOWN, MailExchanger
from relay.dsn.rules_file import built_in_rules
from relay.events.event import Event, Kind
from relay.inbound import addresses
from relay.inbound.addresses import (
    ExpiredAddress,
    MessageAddress,
    parse_own_address,
    token_in,
    token_of_address,
)
from relay.inbound.process import InboundProcessor
from relay.mail.queue_id import queue_id
from relay.mail.transaction import Envelope, Recipient, Session, Transaction
from relay.mailauth.dkim_keys import SigningKey, dns_record, generate_key, load_key
from relay.mailauth.dkim_sign import sign
from relay.queue.bounce_policy import BouncePolicy
from relay.queue.entry import Entry, State
from relay.queue.message import Message, NewMessage
from relay.render.message_policy import MessagePolicy
from relay.reports.ports import MessageQuery, Story
from relay.resolver import Lookups, Resolver
from relay.rewrite.tokens import Keyring, Token, sign_address_token
from relay.rewrite.tokens import Kind as TokenKind
from relay.storage.sqlite.store import SqliteStore
from relay.suppression.ports import SuppressionQuery, UnsubscribeQuery
from tests.servers.dns_server import DnsServer

NOW = 1_800_000_000.0

OWN = MailExchanger("own")

KEYS = Keyring((("k1", bytes(range(32))),))

QUEUE_ID = queue_id(NOW, 7)

RULES = built_in_rules()

SETTINGS = Settings.model_validate({"domains": {"acme.test": {"return_path": "bounces.acme.test"}}})


def address(kind: TokenKind = TokenKind.BOUNCE, queue_id: str = QUEUE_ID, recipient: int = 1) -> str:
    return f"{sign_address_token(KEYS, Token(kind, queue_id, recipient))}@bounces.acme.test"


def bounce(
    to: str = "postmaster@acme.test",
    recipient: str = "ben@rcpt.test",
    action: str = "failed",
    status: str = "5.1.1",
    reply: str = "550 5.1.1 user unknown",
) -> bytes:
    return f"""\
From: MAILER-DAEMON@mx.rcpt.test
To: {to}
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: text/plain

Trouble.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.rcpt.test

Final-Recipient: rfc822; {recipient}
Action: {action}
Status: {status}
Diagnostic-Code: smtp; {reply}

--b
Content-Type: text/rfc822-headers

From: news@acme.test
Message-ID: <77@acme.test>
Subject: invoice

--b--
""".replace("\n", "\r\n").encode()


def via(to: str, content: bytes, reverse_path: str = "") -> Transaction:
    session = Session("mx", "inbound", "192.0.2.9", "mx.rcpt.test", extended=True)
    return Transaction(session, Envelope(reverse_path, (Recipient(to),)), content)


@dataclass
class Bench:
    store: SqliteStore
    published: list[Event] = field(default_factory=list)
    lines: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    now: float = NOW
    wakes: int = 0
    serial: "count[int]" = field(default_factory=count)
    resolver: Callable[[], Lookups] = Resolver
    settings: Settings = SETTINGS

    @property
    def intake(self) -> InboundProcessor:
        policy = BouncePolicy(RULES, threshold=3)
        return InboundProcessor(
            settings=lambda: self.settings,
            keyring=lambda: KEYS,
            bounce_policy=lambda: policy,
            queue=self.store.queue,
            quotas=self.store.quotas,
            stories=self.store.reports,
            returned=self.store.events,
            unsubscribes=self.store.unsubscribes,
            exchanger_of=lambda _: UNKNOWN,
            resolver=self.resolver,
            clock=lambda: self.now,
            new_id=lambda now: queue_id(now, next(self.serial)),
            publish=self.publish,
            wake=self.wake,
            log=self.log,
        )

    async def enqueue(self, of: str, state: State = State.DELIVERED) -> None:
        message = Message(of, NOW, "news@acme.test", MessagePolicy(domain="acme.test"), message_id="<77@acme.test>")
        entries = tuple(
            Entry(of, number, who, "mx:rcpt.test", NOW, NOW + 9, NOW, state=state)
            for number, who in enumerate(("ada@rcpt.test", "ben@rcpt.test"))
        )
        await self.store.queue.enqueue(NewMessage(message, b"x", entries))

    def wake(self) -> None:
        self.wakes += 1

    def publish(self, events: Sequence[Event]) -> None:
        self.published += events

    def log(self, line: str, **fields: object) -> None:
        self.lines.append((line, fields))

    async def story(self) -> Story:
        (story,) = await self.store.reports.stories(MessageQuery(queue_id=QUEUE_ID))
        return story

    async def suppressed(self) -> list[tuple[str, str, str]]:
        return [(one.address, one.domain, one.reason) for one in await self.store.suppressions.find(SuppressionQuery())]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    store = await SqliteStore.open(tmp_path / "relay.db", now=NOW)
    bench = Bench(store)
    await bench.enqueue(QUEUE_ID)
    yield bench
    await store.close()


async def test_the_recipient_token_says_whose_bounce_it_is_whatever_address_it_reports(bench: Bench) -> None:
    taken = await bench.intake.process(bounce(recipient="forwarded@elsewhere.test"), address())
    (event,) = taken.events
    assert (taken.kind, taken.joined) == ("bounce", True)
    assert (event.kind, event.number, event.address) == (Kind.BOUNCED, 1, "ben@rcpt.test")
    assert (event.data["category"], event.data["late"], event.data["domain"]) == ("bad_mailbox", True, "acme.test")
    assert (await bench.story()).events == (event,)
    assert (await bench.story()).entries[1].state is State.DELIVERED
    assert await bench.suppressed() == [("ben@rcpt.test", "acme.test", "bad_mailbox")]
    assert bench.published == [event]


async def test_the_same_mail_taken_twice_is_recorded_once(bench: Bench) -> None:
    await bench.intake.process(bounce(), address())
    bench.now += 60
    again = await bench.intake.process(bounce(), address())
    assert (again.joined, again.events) == (True, ())
    assert len((await bench.story()).events) == 1


async def test_a_mailbox_has_no_recipient_the_token_in_the_mail_serves(bench: Bench) -> None:
    taken = await bench.intake.process(bounce(to=address()))
    assert [one.number for one in taken.events] == [1]


async def test_without_a_token_message_id_and_recipient_join(bench: Bench) -> None:
    taken = await bench.intake.process(bounce(recipient="Ada@rcpt.test"))
    assert [(one.number, one.address) for one in taken.events] == [(0, "ada@rcpt.test")]
    stranger = await bench.intake.process(bounce(recipient="eve@rcpt.test"))
    assert (stranger.kind, stranger.joined, stranger.events) == ("bounce", False, ())
    assert "neither DKIM nor SPF" in str(taken.events[0].data["unproven"])
    assert await bench.suppressed() == []
    (recorded,) = await bench.store.suppressions.unproven(SuppressionQuery(address="Ada@rcpt.test"))
    assert (recorded.suppression.reason, recorded.suppression.provenance, recorded.times) == (
        "bad_mailbox",
        "mailbox",
        1,
    )


@pytest.mark.parametrize("kind", [TokenKind.BOUNCE, TokenKind.REPLY])
async def test_mail_about_a_forgotten_message_is_refused_and_proves_nothing(bench: Bench, kind: TokenKind) -> None:
    forgotten = address(kind, queue_id(NOW, 99))
    reply = b"From: Ben <ben@rcpt.test>\r\nAuto-Submitted: auto-replied\r\n\r\nAway.\r\n"
    for content in (bounce(recipient="victim@bank.test"), feedback("abuse"), reply):
        taken = await bench.intake.process(content, forgotten, via(forgotten, content))
        assert (taken.joined, taken.events, taken.refusal and taken.refusal.code) == (False, (), 550)
        assert (await bench.intake.process(content + b"To: " + forgotten.encode())).events == ()
    assert await bench.suppressed() == []


async def test_a_signed_address_ends_with_the_time_in_which_its_message_can_be_known(bench: Bench) -> None:
    def parsed(now: float, kind: TokenKind) -> object:
        return parse_own_address(SETTINGS, KEYS, address(kind), lambda _: UNKNOWN, now)

    queue = SETTINGS.queue
    end = NOW + queue.retention + queue.max_send_at + queue.lifetime
    for kind in (TokenKind.BOUNCE, TokenKind.REPLY):
        assert isinstance(parsed(end - 1, kind), MessageAddress)
        assert parsed(end + 1, kind) == ExpiredAddress(end)
    assert parsed(NOW + 86399, TokenKind.TEST) == addresses.TestCopyAddress(QUEUE_ID)
    assert parsed(NOW + 86401, TokenKind.TEST) == ExpiredAddress(NOW + 86400)


@pytest.mark.parametrize("state", [State.WAITING, State.HELD, State.DROPPED])
async def test_no_evidence_counts_against_an_address_that_nothing_was_sent_to(bench: Bench, state: State) -> None:
    await bench.enqueue(queue_id(NOW, 8), state)
    (event,) = (await bench.intake.process(bounce(), address(queue_id=queue_id(NOW, 8)))).events
    assert event.kind is Kind.BOUNCED
    assert await bench.suppressed() == []


async def test_a_warning_is_no_bounce(bench: Bench) -> None:
    warning = bounce(action="delayed", status="4.4.1", reply="451 4.4.1 no answer")
    (event,) = (await bench.intake.process(warning, address())).events
    assert (event.kind, event.data["late"]) == (Kind.DEFERRED, True)
    assert await bench.suppressed() == []


async def test_a_blocked_address_of_ours_never_suppresses(bench: Bench) -> None:
    blocked = bounce(status="5.7.1", reply="554 5.7.1 Client host [192.0.2.9] blocked using zen.spamhaus.org")
    (event,) = (await bench.intake.process(blocked, address())).events
    assert event.data["category"] == "blocked"
    assert await bench.suppressed() == []


async def test_three_late_soft_bounces_suppress(bench: Bench) -> None:
    full = bounce(status="5.2.2", reply="552 5.2.2 mailbox full")
    for number in range(3):
        assert await bench.suppressed() == []
        await bench.enqueue(queue_id(NOW, number))
        await bench.intake.process(full, address(queue_id=queue_id(NOW, number)))
    assert await bench.suppressed() == [("ben@rcpt.test", "acme.test", "mailbox_full")]


async def test_a_reply_is_recorded_ordinary_mail_to_a_return_path_only_logged(bench: Bench) -> None:
    mail = b"From: Ben <ben@rcpt.test>\r\nSubject: Re: invoice\r\n\r\nThanks.\r\n"
    (event,) = (await bench.intake.process(mail, address(TokenKind.REPLY))).events
    assert (event.kind, event.data["subject"]) == (Kind.REPLY, "Re: invoice")
    assert "automatic" not in event.data
    taken = await bench.intake.process(mail, address())
    assert (taken.kind, taken.events) == ("other", ())
    assert bench.lines[-1] == ("inbound.taken", {"queue_id": QUEUE_ID, "kind": "other", "to": address()})


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


async def test_mail_that_concerns_nothing_of_ours_leaves_nothing(bench: Bench) -> None:
    for content in (b"", b"\xff\x00\r\n", b"Subject: hi\r\n\r\nhello", b"To: " + b"a" * 45 + b"@x.test\r\n\r\n"):
        taken = await bench.intake.process(content)
        assert (taken.joined, taken.events) == (False, ())


async def test_mail_of_a_mailbox_with_too_large_a_header_is_left_alone(bench: Bench) -> None:
    for bomb in (b"a:\r\n" * 1001, b"X-More: " + b"y" * 256 * 1024 + b"\r\n"):
        taken = await bench.intake.process(bomb + b"To: " + address().encode() + b"\r\n" + bounce())
        assert (taken.kind, taken.joined, taken.events) == ("other", False, ())


def test_tokens_of_another_kind_or_key_are_none_of_ours() -> None:
    other = Keyring((("k1", bytes(32)),))
    assert token_of_address(other, address()) is None
    assert token_of_address(KEYS, address(TokenKind.REPLY), (TokenKind.BOUNCE,)) is None
    assert token_of_address(KEYS, address().upper()) == Token(TokenKind.BOUNCE, QUEUE_ID, 1)
    decoys = b"To: " + b",".join(b"%s@x.test" % (b"a" * 44) for _ in range(10))
    assert token_in(KEYS, decoys + b"\r\nDelivered-To: " + address().encode()) == Token(TokenKind.BOUNCE, QUEUE_ID, 1)
    assert token_in(KEYS, decoys) is None


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


async def test_vacation_notes_that_a_provider_calls_transient_bounces_suppress_nobody(bench: Bench) -> None:
    for _ in range(4):
        await bench.intake.process(bounce(status="4.0.0", reply=""), address())
        bench.now += 3600
    assert await bench.store.suppressions.find(SuppressionQuery()) == []
