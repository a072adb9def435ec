"""Answers and bounces to return-paths, over a real store: those of sent mail, and the SRS addresses of forwards."""

from relay.events.event import Kind
from relay.mail.queue_id import queue_id
from relay.mail.received import loop_field
from relay.mail.srs import DAY, srs_encode
from relay.render.message import RenderInput, reverse_path_for
from relay.rewrite.tokens import Kind as TokenKind
from relay.rewrite.tokens import Token, sign_address_token
from tests.servers.dns_server import DnsServer
from tests.unit.replies_harness import KEY, KEYS, NEWS, NOW, REPLY, SENT, VACATION, Harness, bounce_of, harness

__all__ = ["harness"]


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


class TestBouncesOfForwards:
    async def test_they_go_back_to_whom_the_reply_came_from(self, harness: Harness) -> None:
        address = srs_encode(KEY, "ben@rcpt.test", "reply.acme.test", NOW)
        harness.now = NOW + 20 * DAY
        assert (await harness.give(bounce_of("owner@acme.test"), address, reverse_path="")).code == 250
        ((message, entry),) = await harness.forwards()
        assert (message.reverse_path, entry.recipient) == ("", "ben@rcpt.test")
        assert await harness.store.queue.content(message.queue_id) == bounce_of("owner@acme.test")
        looping = loop_field("relay.test", "ben@rcpt.test") + bounce_of("owner@acme.test")
        assert (await harness.give(looping, address, reverse_path="")).code == 554

    async def test_all_spellings_of_one_address_have_one_quota(self, harness: Harness) -> None:
        """An SRS address is valid at each domain of the relay, and SRS1 has three separators."""
        harness.limits = {"replies_hourly": 2, "replies_daily": 20}
        first = srs_encode(KEY, "SRS0=h=AA=far.test=ben@rcpt.test", "reply.acme.test", NOW)
        for address, code in (
            (first, 250),
            (first.replace("SRS1=", "SRS1+"), 250),
            (first.replace("SRS1=", "SRS1-"), 450),
            (first.replace("reply.", "bounces."), 450),
            (first.lower(), 450),
        ):
            assert (await harness.give(bounce_of("owner@acme.test"), address, reverse_path="")).code == code

    async def test_nothing_else_comes_through_and_not_for_ever(self, harness: Harness) -> None:
        address = srs_encode(KEY, "ben@rcpt.test", "reply.acme.test", NOW)
        refused = await harness.give(REPLY, address, reverse_path="eve@evil.test")
        assert (refused.code, refused.status) == (550, "5.7.1")
        for wrong in (address.replace("=ben@", "=eve@"), address.replace("reply.", "other.")):
            assert (await harness.give(REPLY, wrong, reverse_path="")).code == 550
        harness.now = NOW + 22 * DAY
        assert (await harness.give(REPLY, address, reverse_path="")).code == 550
        assert await harness.forwards() == []


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
