"""Mail to identities end to end: a relay that is the MX of their domain, a name server, and two mail hosts.

app ──▶ relay ──MX──▶ rcpt.test (Ben) ──answer to rita@acme.test──▶ the relay ──MX──▶ home.test (the owner)"""

import asyncio
import re
from pathlib import Path

from relay.rewrite.tokens import Kind, Token, cc_address, sign_address_token
from tests.integration.identity_world import CARL, CONFIG, GUS, RITA, World, answer, world
from tests.servers.waiting import until

__all__ = ["world"]


async def test_an_answer_to_the_address_of_an_identity_is_joined_and_forwarded(world: World) -> None:
    sent = await world.relay.send()
    (offer,) = await world.ben.received(1)
    assert b"Reply-To" not in offer.content
    joined = answer("Two, please.", more="In-Reply-To: <offer@acme.test>\n")
    assert (await world.relay.give(RITA, joined))[0] == 250
    (home,) = await world.owner.received(1)
    assert home.recipients == ["owner@home.test"]
    assert home.content.endswith(joined.replace("\n", "\r\n").encode())
    assert home.reverse_path.endswith("=ben@bounces.acme.test")
    by_author = answer("And one more.", name="re2")
    assert (await world.relay.give('"Rita"@ACME.test', by_author))[0] == 250
    assert len(await world.owner.received(2)) == 2
    replies = await world.relay.events(sent)
    assert [(one["event"], one["recipient"]) for one in replies] == [("reply", "ben@rcpt.test")] * 2


async def test_new_mail_to_an_identity_is_forwarded_and_an_application_can_write_to_it(world: World) -> None:
    fresh = answer("Hello, do you sell tea?", author="eve@rcpt.test")
    code, text = await world.relay.give(RITA, fresh)
    assert (code, text.split()[:3]) == (250, ["2.0.0", "Ok:", "queued"])
    assert (await world.owner.received(1))[0].content.endswith(fresh.replace("\n", "\r\n").encode())
    await world.relay.send(author=CARL, to=RITA)
    assert len(await world.owner.received(2)) == 2
    robot = answer("I am away.", author="eve@rcpt.test", more="Auto-Submitted: auto-replied\n", name="v")
    assert (await world.relay.give(RITA, robot, ""))[0] == 250
    assert [one["subject"] for one in await world.relay.json("report", "untied")] == ["Re: Offer"]
    assert len(world.owner.messages) == 2


async def test_generated_mail_that_answers_nothing_is_forwarded(world: World) -> None:
    await world.relay.send()
    generated = "Auto-Submitted: auto-generated\n"
    for number, author in enumerate(("bank@rcpt.test", "ben@rcpt.test"), 1):
        invoice = answer("Your invoice.", author=author, more=generated, name=f"i{number}")
        assert (await world.relay.give(RITA, invoice, author))[0] == 250
        assert (await world.owner.received(number))[-1].recipients == ["owner@home.test"]
    ticket = answer("Ticket 4711.", more=f"{generated}In-Reply-To: <offer@acme.test>\n", name="t")
    assert (await world.relay.give(RITA, ticket))[0] == 250
    await asyncio.sleep(0.3)
    assert len(world.owner.messages) == 2


async def test_the_code_to_an_identity_at_this_relay_is_forwarded(world: World) -> None:
    code, text = await world.relay.ran("identity", "verify", RITA)
    assert code == 75, text
    (home,) = await world.owner.received(1)
    found = re.search(rb"Subject: (\d{6}) is the code", home.content)
    assert found is not None
    code, text = await world.relay.ran("identity", "verify", RITA, "--otp", found[1].decode())
    assert (code, "Address verified, " in text) == (0, True), text
    for address, why in ((GUS, "550 5.2.1"), ("nobody@acme.test", "550 5.1.1")):
        code, text = await world.relay.ran("identity", "verify", address)
        assert (code, why in text, "set forward_to under" in text) == (1, True, True), text


async def test_a_copy_of_its_own_mail_is_no_answer(world: World) -> None:
    sent = await world.relay.send(to=RITA)
    assert len(await world.owner.received(1)) == 1
    assert await world.relay.events(sent) == []


async def test_the_cc_address_needs_no_in_reply_to(world: World) -> None:
    ring = world.relay.keyring()
    rita, carl = (cc_address(ring, one, "bounces.acme.test") for one in (RITA, CARL))
    sent = await world.relay.send(more="X-Relay-Campaign: autumn\n")
    await world.ben.received(1)
    assert (await world.relay.give(rita, answer("Two, please.")))[0] == 250
    assert (await world.relay.give(rita, answer("Abmelden", name="u1")))[0] == 250
    assert [one["event"] for one in await world.relay.events(sent)] == ["reply", "unsubscribe"]
    stranger = answer("unsubscribe", author="zoe@rcpt.test", name="u2")
    assert (await world.relay.give(rita, stranger))[0] == 250
    left = await world.relay.json("unsubscribe", "list")
    assert [(one["address"], one["campaign"]) for one in left] == [("ben@rcpt.test", "autumn"), ("zoe@rcpt.test", "")]
    assert (await world.relay.give(rita, answer("Who are you?", author="eve@rcpt.test", name="e")))[0] == 250
    listed = await world.relay.json("report", "untied")
    assert [(one["from"], one["identity"]) for one in listed] == [("eve@rcpt.test", RITA), ("zoe@rcpt.test", RITA)]
    assert "eve@rcpt.test" in await world.relay.run("report", "untied")
    assert world.owner.messages == []

    assert (await world.relay.give(carl, answer("Who are you?", author="eve@rcpt.test", name="c")))[0] == 250
    (home,) = await world.owner.received(1)
    assert (await world.relay.give(carl, home.content.decode().replace("\r\n", "\n"), home.reverse_path))[0] == 250
    await asyncio.sleep(0.3)
    assert len(world.owner.messages) == 1


async def test_forward_to_alone_forwards_answers_by_a_signed_reply_to(tmp_path: Path) -> None:
    async with World(tmp_path, CONFIG.replace("reply_tracking = false\n", "")) as world:
        sent = await world.relay.send()
        (offer,) = await world.ben.received(1)
        token = sign_address_token(world.relay.keyring(), Token(Kind.REPLY, sent, 0))
        assert f"{token}@bounces.acme.test".encode() in offer.content
        assert (await world.relay.give(f"{token}@bounces.acme.test", answer("Two, please.")))[0] == 250
        assert len(await world.owner.received(1)) == 1
        await world.relay.send(more="Reply-To: sales@acme.test\n")
        assert b"\r\nReply-To: sales@acme.test\r\n" in (await world.ben.received(2))[1].content


async def test_bounces_to_the_address_of_an_identity_are_recorded_for_their_message(world: World) -> None:
    sent = await world.relay.send()
    await world.ben.received(1)
    bounce = (
        "From: MAILER-DAEMON@mx.rcpt.test\nSubject: Undelivered Mail Returned to Sender\nMIME-Version: 1.0\n"
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\nTrouble.\n\n--b\n"
        "Content-Type: message/delivery-status\n\nReporting-MTA: dns; mx.rcpt.test\n\n"
        "Final-Recipient: rfc822; ben@rcpt.test\nAction: failed\nStatus: 5.1.1\n\n--b\n"
        "Content-Type: text/rfc822-headers\n\nMessage-ID: <offer@acme.test>\n\n--b--\n"
    )
    assert (await world.relay.give(RITA, bounce, ""))[0] == 250
    (event,) = await until(lambda: world.relay.events(sent))
    assert (event["event"], event["recipient"]) == ("bounced", "ben@rcpt.test")
    assert world.owner.messages == []


async def test_the_test_of_an_identity_has_an_answer_come_back_by_the_mx(world: World) -> None:
    relay = world.relay
    assert (await relay.ran("identity", "verify", RITA, "--step", "sending"))[0] == 0
    code, text = await relay.ran("identity", "verify", RITA, "--step", "receiving")
    assert code == 75, text
    assert f"answers to {RITA} come to this relay, the MX of acme.test, and go to owner@home.test" in text
    assert "a test response came back by acme.test and is recorded" in text
    code, text = await relay.ran("identity", "verify", GUS, "--step", "receiving")
    assert (code, "it has no reader: 550 5.2.1" in text, "set forward_to under" in text) == (1, True, True), text
    code, text = await relay.ran("identity", "verify", "ann@away.test", "--step", "receiving")
    assert (code, "forward_to gets no answers" in text) == (75, True), text
    assert "answers to ann@away.test go to mx.home.test, the MX of away.test" in text


async def test_lost_answers_are_reported_wherever_an_identity_is_set_up(world: World) -> None:
    code, text = await world.relay.ran("config", "check")
    assert code == 78, text
    assert 'identities."ann@away.test": forward_to gets no answers' in text
    assert 'set reply_domain under [domains."away.test"]' in text
    assert f'warning: identities."{GUS}"' in text
    code, text = await world.relay.ran("identity", "add", "zed@acme.test", "--no-reload")
    assert (code, "it has no reader: 550 5.2.1" in text) == (0, True), text
    code, text = await world.relay.ran("identity", "add", "yan@acme.test", "--forward-to", "o@home.test", "--no-reload")
    assert (code, "550 5.2.1" in text) == (0, False), text
    shown = await world.relay.run("identity", "show", RITA)
    assert "come to this relay, the MX of acme.test" in shown


async def test_a_fixed_reply_to_is_shown_and_warned_of(tmp_path: Path) -> None:
    config = CONFIG.replace('[identities."gus@acme.test"]', '[identities."gus@acme.test"]\nreply_to = "x@home.test"')
    config = config.replace('[identities."ann@away.test"]\nforward_to = ["owner@home.test"]\n', "")
    async with World(tmp_path, config.replace("reply_tracking = false\ncc_", 'reply_to = "y@home.test"\ncc_')) as world:
        assert "x@home.test (fixed: replies are not tracked)" in await world.relay.run("identity", "show", GUS)
        code, text = await world.relay.ran("config", "check")
        assert (code, "forward_to gets none" in text) == (0, True), text


async def test_the_domain_of_forwards_has_an_spf_record_also_with_a_bounce_mailbox(tmp_path: Path) -> None:
    imap = '[bounces.imap]\nhost = "127.0.0.1"\nport = 9\ntls = "none"\nusername = "b"\npassword = "b"\n'
    config = CONFIG.replace('reply_domain = "bounces.acme.test"', 'reply_domain = "reply.acme.test"') + imap
    async with World(tmp_path, config) as world:
        zone = await world.relay.run("domain", "records", "acme.test", "--zone")
        assert 'reply.acme.test. IN TXT "v=spf1 a:relay.test ~all"' in zone
        _, text = await world.relay.ran("domain", "check", "acme.test")
        assert "reply.acme.test" in text
        assert (await world.relay.give(RITA, answer("Two, please.")))[0] == 250
        (home,) = await world.owner.received(1)
        assert home.reverse_path.endswith("=ben@reply.acme.test")
