"""Quotas of inbound mail, test copies, and several recipients in one transaction, over a real store."""

from dataclasses import replace
from itertools import count

import pytest

from relay.domains.mail_exchanger import MailExchanger
from relay.mail.queue_id import queue_id
from relay.mail.reply import Reply
from relay.mail.srs import DAY
from relay.mail.transaction import Envelope, Recipient, Transaction
from relay.queue.message import Message, NewMessage
from relay.render.message_policy import MessagePolicy
from relay.rewrite.tokens import Kind as TokenKind
from relay.rewrite.tokens import Token, sign_address_token
from tests.servers.dns_server import DnsServer
from tests.unit.replies_harness import (
    KEYS,
    NEWS,
    NOW,
    REPLY,
    SESSION,
    VACATION,
    Harness,
    delivered,
    harness,
    reply_address,
)

__all__ = ["harness"]

COPY = queue_id(NOW, 8)


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
            await harness.store.queue.enqueue(NewMessage(new, b"x", delivered(message, "ada@rcpt.test")))
            codes.append((await harness.give(self.reply(number), reply_address(0, message))).code)
        assert codes == [250] * 5 + [450] * 2
        assert {entry.recipient for _, entry in await harness.forwards()} == {"victim@bank.test"}

    async def test_each_recipient_of_a_mail_counts(self, harness: Harness) -> None:
        """One mail to a hundred reply addresses was one use of what they share: a hundred mails to one victim."""
        harness.identity, harness.limits = {}, {"replies_hourly": 5, "replies_daily": 20}
        harness.serial = count(100)
        addresses = []
        for number in range(7):
            message = queue_id(NOW, 8000 + number)
            policy = MessagePolicy(domain="acme.test", identity=NEWS, reply_domain="reply.acme.test")
            policy = replace(policy, reply_to=("victim@bank.test",))
            new = Message(message, NOW, NEWS, policy, message_id=f"<{number}@acme.test>", header_from=NEWS)
            await harness.store.queue.enqueue(NewMessage(new, b"x", delivered(message, "ada@rcpt.test")))
            addresses.append(Recipient(reply_address(0, message)))

        for number, code in ((7, 450), (4, 250), (2, 450), (1, 250), (1, 450)):
            envelope = Envelope("eve@evil.test", tuple(addresses[:number]))
            content = self.reply(number + 100 * code)
            assert (await harness.handler.accept_message(Transaction(SESSION, envelope, content))).code == code
        assert len(await harness.forwards()) == 5

    async def test_the_daily_limit_of_an_identity_counts_each_recipient(self, harness: Harness) -> None:
        harness.identity |= {"hourly_limit": 2, "daily_limit": 3}
        both = tuple(map(Recipient, (reply_address(0), reply_address(1))))
        codes = [
            (await harness.handler.accept_message(Transaction(SESSION, Envelope("e@x.test", both), self.reply(n)))).code
            for n in range(2)
        ]
        assert codes == [250, 450]

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
