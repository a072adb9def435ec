"""Mail to CC tracking addresses, over a real store: joined to the message it answers, or passed on as it is."""

from collections.abc import Sequence

from relay.events.event import Event, Kind
from relay.inbound.unforwarded_record import NOT_FORWARDED
from relay.mail.transaction import Envelope, Recipient, Transaction
from relay.reports.ports import MessageQuery
from relay.rewrite.tokens import cc_address
from tests.unit.replies_harness import KEYS, NEWS, REPLY, SESSION, VACATION, Harness, bounce_of, harness, reply_address

__all__ = ["harness"]

CC = cc_address(KEYS, NEWS, "reply.acme.test")


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
        await harness.give(bounce_of("ada@rcpt.test"), CC, reverse_path="")
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
        for content in (self.ANSWER, token, bounce_of("ada@rcpt.test")):
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


async def test_several_of_our_addresses_in_one_transaction(harness: Harness) -> None:
    recipients = (Recipient(reply_address(0)), Recipient(CC), Recipient(reply_address(0).upper()))
    whole = Envelope("ben@rcpt.test", recipients)
    content = TestCcAddress.ANSWER
    assert (await harness.handler.accept_message(Transaction(SESSION, whole, content))).code == 250
    events: Sequence[Event] = await harness.events()
    assert [(one.kind, one.number) for one in events] == [(Kind.REPLY, 0), (Kind.REPLY, 1)]
    assert len({entry.queue_id for _, entry in await harness.forwards()}) == 1
