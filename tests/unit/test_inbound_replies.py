"""Replies, over a real store: recorded and passed on once, in one transaction; what robots send is not."""

import pytest

from relay.events.event import Kind
from relay.mail.queue_id import queue_id
from relay.mail.received import loop_field
from relay.queue.message import Message, NewMessage
from relay.render.message_policy import MessagePolicy
from tests.unit.replies_harness import NEWS, NOW, REPLY, SENT, VACATION, Harness, delivered, harness, reply_address

__all__ = ["harness"]


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
        await harness.store.queue.enqueue(NewMessage(message, b"x", delivered(other, "ada@rcpt.test")))
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
            entries = delivered(message.queue_id, "ben@rcpt.test")
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
        await harness.store.queue.enqueue(NewMessage(message, b"x", delivered(other, "ben@rcpt.test")))
        await harness.give(REPLY.replace(b"Re: Offer", tag + b"Automatic reply: how it works"), reply_address(0, other))
        (event,) = await harness.events(other)
        assert "automatic" not in event.data

    async def test_a_person_who_repeats_our_robotic_subject_is_no_robot(self, harness: Harness) -> None:
        other = queue_id(NOW, 78)
        policy = MessagePolicy(domain="acme.test", identity=NEWS, reply_domain="reply.acme.test")
        message = Message(other, NOW, NEWS, policy, header_from=NEWS, subject="Out of office made easy")
        await harness.store.queue.enqueue(NewMessage(message, b"x", delivered(other, "ben@rcpt.test")))
        await harness.give(REPLY.replace(b"Re: Offer", b"Re: Out of office made easy"), reply_address(0, other))
        (event,) = await harness.events(other)
        assert "automatic" not in event.data
        assert await harness.forwards()
