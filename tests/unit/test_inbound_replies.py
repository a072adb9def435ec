"""Replies, over a real store: recorded and passed on once, in one transaction; unsubscribes; CC tracking addresses."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from relay.config.settings import Settings
from relay.domains.mail_exchanger import UNKNOWN, MailExchanger
from relay.dsn.rules_file import built_in_rules
from relay.events.event import Event, Kind
from relay.inbound.handler import InboundHandler
from relay.inbound.process import InboundProcessor
from relay.inbound.unforwarded_record import NOT_FORWARDED
from relay.mail.queue_id import queue_id
from relay.mail.received import loop_field
from relay.mail.reply import Reply
from relay.mail.srs import DAY, srs_encode
from relay.mail.transaction import Envelope, Recipient, Session, Transaction
from relay.queue.bounce_policy import BouncePolicy
from relay.queue.entry import Entry, State
from relay.queue.message import Message, NewMessage
from relay.queue.ports import EntryQuery
from relay.render.message_policy import MessagePolicy
from relay.render.render import RenderInput, reverse_path_for
from relay.reports.ports import MessageQuery
from relay.resolver import Resolver
from relay.rewrite.tokens import Keyring, Token, cc_address, sign_address_token
from relay.rewrite.tokens import Kind as TokenKind
from relay.storage.sqlite.store import SqliteStore
from relay.suppression.ports import SuppressionQuery, UnsubscribeQuery
from relay.verification.received_copies import ReceivedCopies
from tests.servers.dns_server import DnsServer

NOW = 1_800_000_000.0

KEY = bytes(range(32))

KEYS = Keyring((("k1", KEY),))

SENT = queue_id(NOW, 7)

COPY = queue_id(NOW, 8)

RULES = built_in_rules()

NEWS = "news@acme.test"

IDENTITY: dict[str, Any] = {"reply_tracking": True, "forward_to": ["owner@acme.test"], "bcc": ["archive@acme.test"]}

SESSION = Session("mx", "inbound", "192.0.2.9", "mx.rcpt.test", extended=True)

REPLY = (
    b"DKIM-Signature: v=1; theirs\r\nFrom: Ben <ben@rcpt.test>\r\nSubject: Re: Offer\r\nMessage-ID: <r1@rcpt.test>\r\n"
    b"X-Relay-Tag: theirs\r\n\r\nThanks, I take two.\r\n"
)

VACATION = (
    b"From: ben@rcpt.test\r\nAuto-Submitted: auto-replied\r\nMessage-ID: <v@rcpt.test>\r\n\r\nAway until May.\r\n"
)


def reply_address(recipient: int = 1, message: str = SENT) -> str:
    return f"{sign_address_token(KEYS, Token(TokenKind.REPLY, message, recipient))}@reply.acme.test"


CC = cc_address(KEYS, NEWS, "reply.acme.test")


@dataclass
class Harness:
    """An inbound handler with its dependencies."""

    store: SqliteStore
    published: list[Event] = field(default_factory=list)
    serial: "count[int]" = field(default_factory=count)
    now: float = NOW
    wakes: int = 0
    resolver: Callable[[], Resolver] = Resolver
    exchangers: dict[str, MailExchanger] = field(default_factory=dict)
    identity: dict[str, Any] = field(default_factory=lambda: dict(IDENTITY))
    limits: dict[str, int] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        return Settings.model_validate(
            {
                "server": {"hostname": "relay.test"},
                "domains": {"acme.test": {"reply_domain": "reply.acme.test", "return_path": "bounces.acme.test"}},
                "identities": {NEWS: self.identity, "other@acme.test": {}},
                "limits": self.limits,
            }
        )

    @property
    def handler(self) -> InboundHandler:
        policy = BouncePolicy(RULES, threshold=3)
        intake = InboundProcessor(
            settings=lambda: self.settings,
            keyring=lambda: KEYS,
            bounce_policy=lambda: policy,
            queue=self.store.queue,
            quotas=self.store.quotas,
            stories=self.store.reports,
            returned=self.store.events,
            unsubscribes=self.store.unsubscribes,
            exchanger_of=lambda domain: self.exchangers.get(domain, UNKNOWN),
            resolver=self.resolver,
            clock=lambda: self.now,
            new_id=lambda now: queue_id(now, next(self.serial)),
            publish=self.published.extend,
            wake=self.wake,
            log=lambda *_, **__: None,
        )
        return InboundHandler(
            settings=lambda: self.settings,
            keyring=lambda: KEYS,
            clock=lambda: self.now,
            processor=intake,
            copies=self.copies,
        )

    @property
    def copies(self) -> ReceivedCopies:
        verifications = self.store.verifications
        return ReceivedCopies(verifications, self.resolver, lambda: self.settings.server.hostname, lambda: self.now)

    def wake(self) -> None:
        self.wakes += 1

    async def give(self, content: bytes, to: str = "", reverse_path: str = "ben@rcpt.test", **envelope: Any) -> Reply:
        """Have the mail come in by the inbound listener."""
        recipient = Recipient(to or reply_address(), **envelope)
        whole = Envelope(reverse_path, (recipient,))
        refused = self.handler.check_recipient(SESSION, whole, recipient)
        return refused or await self.handler.accept_message(Transaction(SESSION, whole, content))

    async def events(self, message: str = SENT) -> list[Event]:
        (story,) = await self.store.reports.stories(MessageQuery(queue_id=message))
        return list(story.events)

    async def forwards(self) -> list[tuple[Message, Entry]]:
        return list(await self.store.queue.entries(EntryQuery(states=(State.WAITING,))))

    async def unsubscribed(self) -> list[str]:
        return [one.address for one in await self.store.unsubscribes.find(UnsubscribeQuery())]


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[Harness]:
    store = await SqliteStore.open(tmp_path / "relay.db", now=NOW)
    policy = MessagePolicy(domain="acme.test", identity=NEWS, reply_domain="reply.acme.test", copies=(2,))
    message = Message(SENT, NOW, NEWS, policy, message_id="<77@acme.test>", header_from=NEWS, subject="Offer")
    await store.queue.enqueue(
        NewMessage(message, b"x", _delivered(SENT, "ada@rcpt.test", "ben@rcpt.test", "copy@acme.test"))
    )
    yield Harness(store)
    await store.close()


def _delivered(message: str, *recipients: str) -> tuple[Entry, ...]:
    return tuple(
        Entry(message, number, who, "mx:rcpt.test", NOW, NOW + 9, NOW, state=State.DELIVERED)
        for number, who in enumerate(recipients)
    )


class TestReplies:
    async def test_a_reply_is_an_event_and_is_forwarded_as_it_came(self, harness: Harness) -> None:
        assert (await harness.give(REPLY)).code == 250
        (event,) = await harness.events()
        assert (event.kind, event.number, event.address) == (Kind.REPLY, 1, "ben@rcpt.test")
        assert (event.data["subject"], event.data["message_id"]) == ("Re: Offer", "<r1@rcpt.test>")
        (message, home), (_, copy) = await harness.forwards()
        assert (home.recipient, home.notify) == ("owner@acme.test", ())
        assert (copy.recipient, copy.notify, message.policy.copies) == ("archive@acme.test", ("NEVER",), (1,))
        assert message.reverse_path == "ben@rcpt.test"
        assert (message.policy.forward_domain, message.policy.domain) == ("bounces.acme.test", "")
        assert message.metadata == {"forward_of": SENT}
        assert await harness.store.queue.content(message.queue_id) == REPLY
        added = message.policy.added_fields
        assert added.startswith(b"Received: from mx.rcpt.test ([192.0.2.9])\r\n\tby relay.test")
        assert loop_field("relay.test", "owner@acme.test") in added
        assert harness.wakes == 1
        assert [one.kind for one in harness.published] == [Kind.REPLY, Kind.CREATED, Kind.CREATED]

    async def test_offered_twice_it_is_forwarded_once(self, harness: Harness) -> None:
        await harness.give(REPLY)
        harness.now += 60
        assert (await harness.give(REPLY)).code == 250
        assert len(await harness.events()) == 1
        assert len({entry.queue_id for _, entry in await harness.forwards()}) == 1

    async def test_by_another_server_it_is_the_same_and_a_message_id_used_again_is_another(
        self, harness: Harness
    ) -> None:
        await harness.give(REPLY)
        await harness.give(b"Received: from backup.rcpt.test\r\n" + REPLY)
        assert len(await harness.events()) == 1
        await harness.give(REPLY.replace(b"two", b"three"))
        assert len(await harness.events()) == 2
        assert len({entry.queue_id for _, entry in await harness.forwards()}) == 2

    async def test_without_message_ids_the_bytes_tell_two_replies_apart(self, harness: Harness) -> None:
        bare = b"From: ben@rcpt.test\r\nSubject: Re: Offer\r\n\r\n"
        for text in (b"one\r\n", b"two\r\n", b"one\r\n"):
            await harness.give(bare + text)
        assert len(await harness.events()) == 2
        assert len({entry.queue_id for _, entry in await harness.forwards()}) == 2

    @pytest.mark.parametrize(
        ("forward_to", "reply_to", "goes_to"),
        [
            ([], ("sales@acme.test",), ["sales@acme.test"]),
            ([], (), [NEWS]),
            (["a@acme.test", "b@acme.test"], ("sales@acme.test",), ["a@acme.test", "b@acme.test"]),
        ],
    )
    async def test_where_a_reply_is_forwarded_to(
        self, harness: Harness, forward_to: list[str], reply_to: tuple[str, ...], goes_to: list[str]
    ) -> None:
        harness.identity = {"forward_to": forward_to}
        other = queue_id(NOW, 77)
        policy = MessagePolicy(domain="acme.test", identity=NEWS, reply_domain="reply.acme.test", reply_to=reply_to)
        message = Message(other, NOW, NEWS, policy, message_id="<78@acme.test>", header_from=NEWS)
        await harness.store.queue.enqueue(NewMessage(message, b"x", _delivered(other, "ada@rcpt.test")))
        await harness.give(REPLY, reply_address(0, other))
        assert [entry.recipient for _, entry in await harness.forwards()] == goes_to

    async def test_what_was_asked_about_delivery_holds_for_the_forward_target_only(self, harness: Harness) -> None:
        await harness.give(REPLY, notify=("SUCCESS",), orcpt="rfc822;x@y.test")
        (_, home), (_, copy) = await harness.forwards()
        assert (home.notify, home.orcpt) == (("SUCCESS",), "rfc822;x@y.test")
        assert (copy.notify, copy.orcpt) == (("NEVER",), "")

    async def test_a_loop_ends_here_and_leaves_nothing(self, harness: Harness) -> None:
        marked = loop_field("relay.test", "owner@acme.test") + loop_field("relay.test", "archive@acme.test") + REPLY
        for looping in (marked, b"Received: from x\r\n" * 100 + REPLY):
            reply = await harness.give(looping)
            assert (reply.code, reply.status) == (554, "5.4.6")
        assert await harness.events() == []
        assert await harness.forwards() == []

    async def test_a_reply_to_what_is_forgotten_is_refused_not_lost(self, harness: Harness) -> None:
        reply = await harness.give(REPLY, reply_address(0, queue_id(NOW, 99)))
        assert (reply.code, reply.status) == (550, "5.1.1")
        assert "not known any more" in reply.text

    async def test_without_an_address_in_from_it_goes_to_the_reverse_path(self, harness: Harness) -> None:
        harness.identity = {"reply_tracking": True}
        for serial, author in enumerate(("", "a@b.test>\tNOTIFY=NEVER", "x@", "a@b\x1b.test"), 80):
            message = Message(
                queue_id(NOW, serial), NOW, NEWS, MessagePolicy(domain="acme.test", identity=NEWS), header_from=author
            )
            entries = _delivered(message.queue_id, "ben@rcpt.test")
            await harness.store.queue.enqueue(NewMessage(message, b"x", entries))
            await harness.give(REPLY, reply_address(0, message.queue_id))
        assert [entry.recipient for _, entry in await harness.forwards()] == [NEWS] * 4


class TestRobots:
    async def test_they_are_marked_and_stay_here(self, harness: Harness) -> None:
        assert (await harness.give(VACATION, reverse_path="")).code == 250
        (event,) = await harness.events()
        assert (event.kind, event.data["automatic"]) == (Kind.REPLY, True)
        assert await harness.forwards() == []

    async def test_unless_they_are_asked_for(self, harness: Harness) -> None:
        harness.identity["forward_auto_replies"] = True
        await harness.give(VACATION, reverse_path="")
        (message, _), _ = await harness.forwards()
        assert message.reverse_path == ""

    @pytest.mark.parametrize("subject", ["I'm on it", "Absence of invoice 4711", "Out of office"])
    async def test_words_alone_keep_no_mail_back(self, harness: Harness, subject: str) -> None:
        await harness.give(REPLY.replace(b"Re: Offer", subject.encode()))
        note = b"From: ben@rcpt.test\r\nSubject: Automatic reply: Offer\r\n\r\nI am out of the office.\r\n"
        await harness.give(note)
        assert ["automatic" in one.data for one in await harness.events()] == [False, True]
        assert len(await harness.forwards()) == 4

    @pytest.mark.parametrize("tag", [b"Re: ", b"[EXTERNAL] AW: ", b"RV: [#12] "])
    async def test_tags_before_our_robotic_subject_prove_nothing(self, harness: Harness, tag: bytes) -> None:
        other = queue_id(NOW, 79)
        policy = MessagePolicy(domain="acme.test", identity=NEWS, reply_domain="reply.acme.test")
        message = Message(other, NOW, NEWS, policy, header_from=NEWS, subject="Automatic reply: how it works")
        await harness.store.queue.enqueue(NewMessage(message, b"x", _delivered(other, "ben@rcpt.test")))
        await harness.give(REPLY.replace(b"Re: Offer", tag + b"Automatic reply: how it works"), reply_address(0, other))
        (event,) = await harness.events(other)
        assert "automatic" not in event.data

    async def test_a_person_who_repeats_our_robotic_subject_is_no_robot(self, harness: Harness) -> None:
        other = queue_id(NOW, 78)
        policy = MessagePolicy(domain="acme.test", identity=NEWS, reply_domain="reply.acme.test")
        message = Message(other, NOW, NEWS, policy, header_from=NEWS, subject="Out of office made easy")
        await harness.store.queue.enqueue(NewMessage(message, b"x", _delivered(other, "ben@rcpt.test")))
        await harness.give(REPLY.replace(b"Re: Offer", b"Re: Out of office made easy"), reply_address(0, other))
        (event,) = await harness.events(other)
        assert "automatic" not in event.data
        assert await harness.forwards()


class TestReturnPath:
    ADDRESS = f"{sign_address_token(KEYS, Token(TokenKind.BOUNCE, SENT, 1))}@bounces.acme.test"

    async def test_a_person_who_answers_it_is_read(self, harness: Harness) -> None:
        assert (await harness.give(REPLY, self.ADDRESS)).code == 250
        assert [one.kind for one in await harness.events()] == [Kind.REPLY]
        assert [entry.recipient for _, entry in await harness.forwards()] == ["owner@acme.test", "archive@acme.test"]

    async def test_without_an_author_to_ask_it_is_refused_with_the_address_to_write_to(self, harness: Harness) -> None:
        refused = await harness.give(REPLY, self.ADDRESS, reverse_path="")
        assert (refused.code, refused.status, f"<{NEWS}>" in refused.text) == (550, "5.7.1", True)
        forgotten = f"{sign_address_token(KEYS, Token(TokenKind.BOUNCE, queue_id(NOW, 99), 0))}@bounces.acme.test"
        assert (await harness.give(REPLY, forgotten, reverse_path="")).status == "5.1.1"
        assert await harness.events() == []

    async def test_automatic_answers_stay_here(self, harness: Harness) -> None:
        await harness.give(VACATION, self.ADDRESS, reverse_path="ben@rcpt.test")
        assert [one.data.get("automatic") for one in await harness.events()] == [True]
        assert await harness.forwards() == []


class TestUnsubscribes:
    async def test_the_button_of_a_mail_program(self, harness: Harness) -> None:
        await harness.give(b"From: ben@rcpt.test\r\nSubject: unsubscribe\r\nMessage-ID: <u@rcpt.test>\r\n\r\n")
        (event,) = await harness.events()
        assert (event.kind, event.address, event.data["by"]) == (Kind.UNSUBSCRIBE, "ben@rcpt.test", "reply")
        assert await harness.unsubscribed() == ["ben@rcpt.test"]
        assert await harness.forwards() == []

    async def test_no_success_is_reported_for_a_forgotten_message(self, harness: Harness) -> None:
        asking = b"From: ben@rcpt.test\r\nSubject: unsubscribe\r\nMessage-ID: <u@rcpt.test>\r\n\r\n"
        reply = await harness.give(asking, reply_address(0, queue_id(NOW, 99)))
        assert (reply.code, reply.status) == (550, "5.1.1")

    async def test_words_beside_the_request_are_read_by_somebody(self, harness: Harness) -> None:
        await harness.give(REPLY.replace(b"Thanks, I take two.", b"unsubscribe\r\n\r\nAnd delete my data."))
        assert [one.kind for one in await harness.events()] == [Kind.UNSUBSCRIBE]
        assert [entry.recipient for _, entry in await harness.forwards()] == ["owner@acme.test", "archive@acme.test"]

    async def test_a_quoted_footer_unsubscribes_nobody(self, harness: Harness) -> None:
        await harness.give(REPLY + b"\r\n> Unsubscribe\r\n> unsubscribe\r\n")
        assert [one.kind for one in await harness.events()] == [Kind.REPLY]
        assert await harness.unsubscribed() == []


class TestListUnsubscribeAddress:
    """Any mail to the address of List-Unsubscribe unsubscribes, whatever it says and whatever it seems to be."""

    ADDRESS = f"{sign_address_token(KEYS, Token(TokenKind.LIST_UNSUBSCRIBE, SENT, 1))}@reply.acme.test"

    @pytest.mark.parametrize(
        "content",
        [
            b"From: ben@rcpt.test\r\nSubject: unsubscribe\r\n\r\n",
            b"From: ben@rcpt.test\r\nSubject: \r\n\r\nThis message was generated by my mail program.\r\n",
            b"From: somebody@else.test\r\nSubject: Re: Offer\r\nX-Spam-Flag: YES\r\n\r\nI like it\r\n",
            VACATION,
            b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n",
        ],
    )
    async def test_any_mail_unsubscribes(self, harness: Harness, content: bytes) -> None:
        reply = await harness.give(content, self.ADDRESS, reverse_path="")
        assert (reply.code, reply.text) == (250, "Ok: unsubscribed")
        (event,) = await harness.events()
        assert (event.kind, event.address, event.data["by"]) == (Kind.UNSUBSCRIBE, "ben@rcpt.test", "mail")
        assert await harness.unsubscribed() == ["ben@rcpt.test"]
        assert await harness.store.suppressions.find(SuppressionQuery()) == []
        assert await harness.forwards() == []

    async def test_the_same_mail_counts_once(self, harness: Harness) -> None:
        for _ in range(2):
            assert (await harness.give(VACATION, self.ADDRESS)).code == 250
        assert len(await harness.events()) == 1

    async def test_a_message_that_is_no_longer_stored_is_refused(self, harness: Harness) -> None:
        token = Token(TokenKind.LIST_UNSUBSCRIBE, queue_id(NOW, 99), 0)
        reply = await harness.give(VACATION, f"{sign_address_token(KEYS, token)}@reply.acme.test")
        assert (reply.code, reply.status) == (550, "5.1.1")

    async def test_mail_in_the_bounce_mailbox_that_is_addressed_to_it(self, harness: Harness) -> None:
        to = f"To: <{self.ADDRESS}>\r\n".encode()
        assert (await harness.handler.processor.process(to + VACATION)).joined
        assert await harness.unsubscribed() == ["ben@rcpt.test"]

    async def test_a_bounce_that_returns_the_field_unsubscribes_nobody(self, harness: Harness) -> None:
        field = f"List-Unsubscribe: <mailto:{self.ADDRESS}>\r\nMessage-ID: <77@acme.test>".encode()
        returned = _bounce("ben@rcpt.test").replace(b"Message-ID: <77@acme.test>", field)
        assert self.ADDRESS.encode() in returned
        await harness.handler.processor.process(returned)
        assert [one.kind for one in await harness.events()] == [Kind.BOUNCED]
        assert await harness.unsubscribed() == []


class TestCcAddress:
    ANSWER = REPLY.replace(b"Subject", b"In-Reply-To: <77@acme.test>\r\nSubject")

    async def test_what_the_mailbox_forwards_is_joined_and_goes_no_further(self, harness: Harness) -> None:
        assert (await harness.give(self.ANSWER, CC)).code == 250
        (event,) = await harness.events()
        assert (event.kind, event.address) == (Kind.REPLY, "ben@rcpt.test")
        assert await harness.forwards() == []

    async def test_a_forward_that_the_mailbox_sends_on_to_it_is_the_reply_that_is_known(self, harness: Harness) -> None:
        await harness.give(self.ANSWER)
        await harness.give(self.ANSWER.replace(b"Thanks", b"[External] Thanks"), CC)
        assert [one.address for one in await harness.events()] == ["ben@rcpt.test"]

    async def test_references_and_enclosed_answers_join_too(self, harness: Harness) -> None:
        references = REPLY.replace(b"Subject", b"References: <1@x.test>\r\n\t<77@acme.test> <2@x.test>\r\nSubject")
        enclosed = (
            b"From: news@acme.test\r\nSubject: Fwd\r\nMIME-Version: 1.0\r\nContent-Type: message/rfc822\r\n\r\n"
            + self.ANSWER.replace(b"ben@", b"ada@")
        )
        await harness.give(references, CC)
        await harness.give(enclosed, CC)
        assert [one.address for one in await harness.events()] == ["ben@rcpt.test", "ada@rcpt.test"]

    async def test_a_robot_a_bounce_and_an_unsubscribe(self, harness: Harness) -> None:
        await harness.give(VACATION.replace(b"From", b"In-Reply-To: <77@acme.test>\r\nFrom"), CC, reverse_path="")
        await harness.give(self.ANSWER.replace(b"Thanks, I take two.", b"Abmelden"), CC)
        await harness.give(_bounce("ada@rcpt.test"), CC, reverse_path="")
        robot, unsubscribe, bounce = await harness.events()
        assert robot.data["automatic"] is True
        assert (unsubscribe.kind, unsubscribe.address) == (Kind.UNSUBSCRIBE, "ben@rcpt.test")
        assert (bounce.kind, bounce.address) == (Kind.BOUNCED, "ada@rcpt.test")

    async def test_who_answered_is_not_guessed_where_it_would_unsubscribe(self, harness: Harness) -> None:
        stranger = self.ANSWER.replace(b"ben@rcpt", b"colleague@rcpt").replace(b"Thanks, I take two.", b"Abmelden")
        await harness.give(stranger, CC)
        assert [(one.kind, one.address) for one in await harness.events()] == [(Kind.REPLY, "ada@rcpt.test")]
        assert await harness.unsubscribed() == []

    async def test_a_copy_of_its_own_mail_is_tied_to_its_message(self, harness: Harness) -> None:
        own = b"From: News <NEWS@acme.test>\r\nMessage-ID: <77@acme.test>\r\nSubject: Offer\r\n\r\nTea\r\n"
        assert str(await harness.give(own, CC)) == "250 2.0.0 Ok: mail taken"
        assert await harness.store.reports.stories(MessageQuery(metadata={NOT_FORWARDED: "untied"})) == []
        for unknown in (own.replace(b"<77@", b"<78@"), own.replace(b"NEWS@", b"eve@")):
            await harness.give(unknown, CC)
        assert len(await harness.store.reports.stories(MessageQuery(metadata={NOT_FORWARDED: "untied"}))) == 2
        assert await harness.events() == []

    async def test_another_identity_has_no_say(self, harness: Harness) -> None:
        other = cc_address(KEYS, "other@acme.test", "reply.acme.test")
        token = self.ANSWER.replace(b"Subject", b"To: " + reply_address().encode() + b"\r\nSubject")
        for content in (self.ANSWER, token, _bounce("ada@rcpt.test")):
            assert (await harness.give(content, other)).code == 250
        assert await harness.events() == []

    async def test_our_own_mail_is_no_answer(self, harness: Harness) -> None:
        own = b"From: news@acme.test\r\nReply-To: %s\r\nIn-Reply-To: <77@acme.test>\r\nSubject: More\r\n\r\nHi\r\n"
        await harness.give(own % reply_address().encode(), CC)
        assert await harness.events() == []
        await harness.give(own.replace(b"More", b"Fwd: Re: Offer") % reply_address().encode(), CC)
        robot = own.replace(b"\r\n\r\nHi", b"\r\nAuto-Submitted: auto-replied\r\n\r\nHi")
        await harness.give(robot % reply_address().encode(), CC)
        assert ["automatic" in one.data for one in await harness.events()] == [False, True]


class TestBouncesOfForwards:
    async def test_they_go_back_to_whom_the_reply_came_from(self, harness: Harness) -> None:
        address = srs_encode(KEY, "ben@rcpt.test", "reply.acme.test", NOW)
        harness.now = NOW + 20 * DAY
        assert (await harness.give(_bounce("owner@acme.test"), address, reverse_path="")).code == 250
        ((message, entry),) = await harness.forwards()
        assert (message.reverse_path, entry.recipient) == ("", "ben@rcpt.test")
        assert await harness.store.queue.content(message.queue_id) == _bounce("owner@acme.test")
        looping = loop_field("relay.test", "ben@rcpt.test") + _bounce("owner@acme.test")
        assert (await harness.give(looping, address, reverse_path="")).code == 554

    async def test_nothing_else_comes_through_and_not_for_ever(self, harness: Harness) -> None:
        address = srs_encode(KEY, "ben@rcpt.test", "reply.acme.test", NOW)
        refused = await harness.give(REPLY, address, reverse_path="eve@evil.test")
        assert (refused.code, refused.status) == (550, "5.7.1")
        for wrong in (address.replace("=ben@", "=eve@"), address.replace("reply.", "other.")):
            assert (await harness.give(REPLY, wrong, reverse_path="")).code == 550
        harness.now = NOW + 22 * DAY
        assert (await harness.give(REPLY, address, reverse_path="")).code == 550
        assert await harness.forwards() == []


async def test_a_test_copy_is_judged_and_other_recipients_of_its_transaction_are_processed(harness: Harness) -> None:
    copy = f"{sign_address_token(KEYS, Token(TokenKind.TEST, COPY, 0))}@reply.acme.test"
    verifications = harness.store.verifications
    async with DnsServer() as dns:
        harness.resolver = dns.resolver
        assert str(await harness.give(REPLY, copy)) == "250 2.0.0 Ok: test mail judged"
        assert [one.step for one in await verifications.find(COPY)] == ["copy"]
        assert await harness.forwards() == []

        await verifications.forget_copies(NOW + 1)
        envelope = Envelope("ben@rcpt.test", (Recipient(copy), Recipient(reply_address())))
        reply = await harness.handler.accept_message(Transaction(SESSION, envelope, REPLY))
    assert str(reply).startswith("250 2.0.0 Ok: queued as ")
    assert [one.step for one in await verifications.find(COPY)] == ["copy"]
    assert "owner@acme.test" in [entry.recipient for _, entry in await harness.forwards()]


async def test_a_test_copy_at_a_domain_that_is_not_ours_is_refused(harness: Harness) -> None:
    copy = f"{sign_address_token(KEYS, Token(TokenKind.TEST, COPY, 0))}@other.test"
    assert (await harness.give(REPLY, copy)).code == 550


async def test_several_of_our_addresses_in_one_transaction(harness: Harness) -> None:
    recipients = (Recipient(reply_address(0)), Recipient(CC), Recipient(reply_address(0).upper()))
    whole = Envelope("ben@rcpt.test", recipients)
    content = TestCcAddress.ANSWER
    assert (await harness.handler.accept_message(Transaction(SESSION, whole, content))).code == 250
    events: Sequence[Event] = await harness.events()
    assert [(one.kind, one.number) for one in events] == [(Kind.REPLY, 0), (Kind.REPLY, 1)]
    assert len({entry.queue_id for _, entry in await harness.forwards()}) == 1


def _bounce(recipient: str) -> bytes:
    return (
        "From: MAILER-DAEMON@mx.rcpt.test\r\nSubject: Undelivered Mail Returned to Sender\r\nMIME-Version: 1.0\r\n"
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n\r\nTrouble.\r\n--b\r\n"
        "Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.rcpt.test\r\n\r\n"
        f"Final-Recipient: rfc822; {recipient}\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n--b\r\n"
        "Content-Type: text/rfc822-headers\r\n\r\nMessage-ID: <77@acme.test>\r\n\r\n--b--\r\n"
    ).encode()


class TestQuotas:
    """What one address, network or author can cause is bounded, and what is refused leaves nothing."""

    @staticmethod
    def reply(number: int) -> bytes:
        return REPLY.replace(b"<r1@", f"<r{number}@".encode())

    async def test_a_reply_address_has_so_many_mails_forwarded_an_hour_and_a_day(self, harness: Harness) -> None:
        harness.limits = {"replies_hourly": 5, "replies_daily": 20}
        codes: list[int] = []
        for number in range(30):
            codes.append((await harness.give(self.reply(number), reverse_path=f"u{number}@x.test")).code)
            harness.now += 720.1
        assert codes == [250] * 20 + [450] * 10
        assert len({entry.queue_id for _, entry in await harness.forwards()}) == len(await harness.events()) == 20
        assert (await harness.give(self.reply(99), reply_address(0))).code == 250

        harness.now = NOW + 2 * DAY
        answers = [await harness.give(self.reply(100 + number), reverse_path="x@y.test") for number in range(6)]
        assert [one.code for one in answers] == [250] * 5 + [450]
        assert (answers[-1].status, "try again after 2027-01-17" in answers[-1].text) == ("4.7.1", True)

    async def test_forwards_to_an_identity_have_its_daily_limit(self, harness: Harness) -> None:
        harness.identity |= {"hourly_limit": 2, "daily_limit": 3}
        answers = [await harness.give(self.reply(n), reply_address(n % 2)) for n in range(4)]
        assert [one.code for one in answers] == [250, 250, 250, 450]

    async def test_an_address_that_an_application_chose_is_bounded_over_all_messages(self, harness: Harness) -> None:
        harness.identity, harness.limits = {}, {"replies_hourly": 5, "replies_daily": 20}
        codes = []
        for number in range(7):
            message = queue_id(NOW, 80 + number)
            chosen = ("victim@bank.test", "other@bank.test")
            policy = MessagePolicy(domain="acme.test", identity=NEWS, reply_domain="reply.acme.test", reply_to=chosen)
            new = Message(message, NOW, NEWS, policy, message_id=f"<{number}@acme.test>", header_from=NEWS)
            await harness.store.queue.enqueue(NewMessage(new, b"x", _delivered(message, "ada@rcpt.test")))
            codes.append((await harness.give(self.reply(number), reply_address(0, message))).code)
        assert codes == [250] * 5 + [450] * 2
        assert {entry.recipient for _, entry in await harness.forwards()} == {"victim@bank.test"}

    async def test_what_is_only_recorded_is_bounded_too(self, harness: Harness) -> None:
        answers = [
            await harness.give(VACATION.replace(b"<v@", f"<v{number}@".encode()), reverse_path="")
            for number in range(61)
        ]
        assert [one.code for one in answers] == [250] * 60 + [450]

    async def test_a_test_address_takes_one_copy(self, harness: Harness) -> None:
        copy = f"{sign_address_token(KEYS, Token(TokenKind.TEST, COPY, 0))}@reply.acme.test"
        async with DnsServer() as dns:
            harness.resolver = dns.resolver
            assert [(await harness.give(REPLY, copy)).code for _ in range(2)] == [250, 550]


class TestSeveralRecipients:
    """A mail to several addresses of the relay is recorded and forwarded for all of them or for none."""

    async def give(self, harness: Harness, *to: str) -> Reply:
        envelope = Envelope("ben@rcpt.test", tuple(map(Recipient, to)))
        content = b"From: Eve <eve@other.test>\r\nSubject: Hello\r\nMessage-ID: <h@other.test>\r\n\r\nHello.\r\n"
        async with DnsServer() as dns:
            harness.resolver = dns.resolver
            return await harness.handler.accept_message(Transaction(SESSION, envelope, content))

    @pytest.mark.parametrize("count", [1, 2])
    async def test_a_refusal_for_one_repeats_no_forward_of_another(self, harness: Harness, count: int) -> None:
        harness.exchangers["acme.test"] = MailExchanger("own", ("relay.test",))
        forgotten = reply_address(1, queue_id(NOW, 99))
        for _ in range(count):
            assert (await self.give(harness, NEWS, forgotten)).code == 550
        assert await harness.forwards() == []
        assert (await self.give(harness, NEWS)).code == 250
        assert [entry.recipient for _, entry in await harness.forwards()] == ["owner@acme.test"]

    async def test_a_quota_that_is_used_up_uses_none_of_another_recipient(self, harness: Harness) -> None:
        harness.exchangers["acme.test"] = MailExchanger("own", ("relay.test",))
        harness.limits = {"replies_hourly": 1}
        assert (await harness.give(REPLY, reply_address())).code == 250
        before = len(await harness.forwards())
        for _ in range(2):
            assert (await self.give(harness, NEWS, reply_address())).code == 450
        assert len(await harness.forwards()) == before

    async def test_a_refused_mail_takes_no_copy_of_a_test(self, harness: Harness) -> None:
        copy = f"{sign_address_token(KEYS, Token(TokenKind.TEST, COPY, 0))}@reply.acme.test"
        assert (await self.give(harness, copy, reply_address(1, queue_id(NOW, 99)))).code == 550
        assert (await self.give(harness, copy)).code == 250


class TestSenders:
    """Nobody is told of a forward that fails unless SPF or DKIM proves that the reverse-path is the sender's."""

    async def test_a_proven_sender_has_an_srs_address_and_another_one_gets_nothing(self, harness: Harness) -> None:
        async with DnsServer('rcpt.test. TXT "v=spf1 ip4:192.0.2.9 -all"') as dns:
            harness.resolver = dns.resolver
            for sender, unproven in (("ben@rcpt.test", False), ("victim@bank.test", True)):
                await harness.give(REPLY.replace(b"<r1@", f"<{sender[:3]}@".encode()), reverse_path=sender)
                message = (await harness.forwards())[-1][0]
                assert (message.reverse_path, message.policy.unproven_sender) == (sender, unproven)
                given = RenderInput(message.queue_id, NOW, sender, b"", message.policy)
                path = reverse_path_for(given, 0, KEYS)
                assert path.startswith("SRS0=") is not unproven
                assert path.endswith("@bounces.acme.test")

            # The bounce of the unproven one comes back to the relay, is recorded, and goes no further.
            assert (await harness.give(BOUNCE_OF_NOTHING, path, "")).code == 250
            assert (await harness.give(REPLY, path, "eve@x.test")).code == 550
            assert len({entry.queue_id for _, entry in await harness.forwards()}) == 2

    async def test_ordinary_mail_from_the_null_reverse_path_does_not_pass_an_srs_address(
        self, harness: Harness
    ) -> None:
        srs = srs_encode(KEY, "ben@rcpt.test", "bounces.acme.test", NOW)
        assert (await harness.give(REPLY, srs, "")).code == 550
        assert await harness.forwards() == []


BOUNCE_OF_NOTHING = (
    b"From: MAILER-DAEMON@mx.acme.test\r\nSubject: Undelivered Mail Returned to Sender\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n--b\r\n\r\nSorry.\r\n'
    b"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.acme.test\r\n\r\n"
    b"Final-Recipient: rfc822; owner@acme.test\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n--b--\r\n"
)
