"""Bounces end to end: signed return-paths out, returning mail in, and what follows for the address."""

import asyncio
import signal
import smtplib
from datetime import datetime
from pathlib import Path

import pytest

from tests.integration.bounce_relay import BOUNCE, COMPLAINT, VACATION, Relay
from tests.servers.actions import Say
from tests.servers.sink import Sink
from tests.servers.waiting import PATIENCE


async def test_a_late_bounce_joins_its_message_suppresses_the_address_and_drops_the_next_mail(tmp_path: Path) -> None:
    async with Sink() as sink, Relay(tmp_path, sink.port) as relay:
        queue_id = await asyncio.to_thread(relay.send, "u@rcpt.test")
        (got,) = await sink.received(1)
        assert got.reverse_path.endswith("@bounces.acme.test")
        await relay.story(queue_id, "delivered")
        await asyncio.to_thread(relay.give_back, got.reverse_path, BOUNCE)
        await asyncio.to_thread(relay.give_back, got.reverse_path, BOUNCE)
        story = await relay.story(queue_id, "bounced")
        (bounced,) = [event for event in story["events"] if event["event"] == "bounced"]
        assert (bounced["late"], bounced["category"], bounced["recipient"]) == (True, "bad_mailbox", "u@rcpt.test")
        assert "user unknown" in bounced["reply"]
        assert bounced["guidance"]
        assert (story["recipients"][0]["state"], story["recipients"][0]["status"]) == ("delivered", "bounced")
        (suppressed,) = await relay.json("suppression", "list")
        assert suppressed["address"] == "u@rcpt.test"
        assert (suppressed["reason"], suppressed["queue_id"], suppressed["domain"]) == (
            "bad_mailbox",
            queue_id,
            "acme.test",
        )
        assert (suppressed["provenance"], suppressed["proof"]) == (
            "signed-address",
            "the signed return-path of the message",
        )
        assert not await relay.json("suppression", "replay")
        again = await asyncio.to_thread(relay.send, "U@rcpt.test", "other@rcpt.test")
        story = await relay.story(again, "delivered")
        assert [one["status"] for one in story["recipients"]] == ["dropped", "delivered"]
        assert "bad_mailbox" in story["recipients"][0]["reason"]
        assert len(relay.log("inbound.taken")) == 2
        assert len(sink.messages) == 2
        await relay.json("suppression", "remove", "u@rcpt.test", "--domain", "acme.test")
        third = await asyncio.to_thread(relay.send, "u@rcpt.test")
        assert (await relay.story(third, "delivered"))["recipients"][0]["status"] == "delivered"


async def test_complaints_suppress_for_the_domain_and_robots_are_recorded_but_never_answered(tmp_path: Path) -> None:
    async with Sink() as sink, Relay(tmp_path, sink.port) as relay:
        queue_id = await asyncio.to_thread(relay.send, "u@rcpt.test")
        (got,) = await sink.received(1)
        await relay.story(queue_id, "delivered")
        await asyncio.to_thread(relay.give_back, got.reverse_path, VACATION)
        reply = (await relay.story(queue_id, "reply"))["events"][-1]
        assert reply["automatic"] is True
        assert not await relay.json("suppression", "list")
        await asyncio.to_thread(relay.give_back, got.reverse_path, COMPLAINT)
        await relay.story(queue_id, "complaint")
        (suppressed,) = await relay.json("suppression", "list")
        assert (suppressed["reason"], suppressed["domain"]) == ("complaint", "acme.test")
        with pytest.raises(smtplib.SMTPDataError, match=r"takes bounces only: please write to <news@acme\.test>"):
            await asyncio.to_thread(
                relay.give_back, got.reverse_path, b"From: x@y.test\r\nSubject: hi\r\n\r\nhello\r\n"
            )
        assert [line["kind"] for line in relay.log("inbound.taken")] == ["auto-reply", "complaint"]
        assert len(sink.messages) == 1
        assert not await relay.json("queue", "list")


async def test_the_inbound_listener_takes_only_addresses_it_signed(tmp_path: Path) -> None:
    async with Sink() as sink, Relay(tmp_path, sink.port) as relay:
        await asyncio.to_thread(relay.send, "u@rcpt.test")
        (got,) = await sink.received(1)
        local = got.reverse_path.partition("@")[0]
        forged = local[:-1] + ("a" if local[-1] != "a" else "b")
        for address in (f"{forged}@bounces.acme.test", f"{local}@elsewhere.test", "u@rcpt.test", "news@acme.test"):
            with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
                await asyncio.to_thread(relay.give_back, address, BOUNCE)
            assert refused.value.recipients[address][0] == 550
            assert refused.value.recipients[address][1].startswith(b"5.1.1")
        await asyncio.to_thread(relay.give_back, got.reverse_path.upper(), BOUNCE)


async def test_live_replies_are_classified_explained_and_suppress_only_on_evidence_about_the_recipient(
    tmp_path: Path,
) -> None:
    async with Sink() as sink, Relay(tmp_path, sink.port) as relay:
        sink.once("RCPT", Say("550 5.1.1 <gone@rcpt.test>: Recipient address rejected: User unknown"))
        gone = await asyncio.to_thread(relay.send, "gone@rcpt.test")
        bounced = (await relay.story(gone, "bounced"))["events"][-1]
        assert (bounced["category"], bool(bounced["rule"])) == ("bad_mailbox", True)
        (notification,) = await sink.received(1)
        assert notification.recipients == ["news@acme.test"]
        assert b"No such address." in notification.content
        sink.once("RCPT u@rcpt.test", Say("550 5.7.26 This message fails SPF and DKIM authentication checks"))
        unsigned = await asyncio.to_thread(relay.send, "u@rcpt.test")
        assert (await relay.story(unsigned, "bounced"))["events"][-1]["category"] == "auth_failed"
        assert [one["address"] for one in await relay.json("suppression", "list")] == ["gone@rcpt.test"]


async def test_soft_bounces_count_to_the_threshold_and_the_suppression_ends_by_a_test(tmp_path: Path) -> None:
    async with Sink() as sink, Relay(tmp_path, sink.port, 'expire = { mailbox_full = "200ms" }') as relay:
        for number in range(3):
            assert not await relay.json("suppression", "list")
            sink.once("RCPT full@rcpt.test", Say("552 5.2.2 Mailbox full"))
            queue_id = await asyncio.to_thread(relay.send, "full@rcpt.test")
            assert (await relay.story(queue_id, "bounced"))["events"][-1]["category"] == "mailbox_full", number
        assert [one["reason"] for one in await relay.json("suppression", "list")] == ["mailbox_full"]

        for number, seconds in enumerate((0.4, 0.8)):
            await relay.probation()
            sink.once("RCPT full@rcpt.test", Say("552 5.2.2 Mailbox full"))
            tester = await asyncio.to_thread(relay.send, "full@rcpt.test")
            await relay.story(tester, "bounced")
            (renewed,) = await relay.json("suppression", "list")
            assert renewed["queue_id"] == tester, number
            length = _seconds(renewed["expires_at"]) - _seconds(renewed["created_at"])
            assert length == pytest.approx(seconds, abs=0.002)

        await relay.probation()
        await relay.story(await asyncio.to_thread(relay.send, "full@rcpt.test"), "delivered")
        assert not await relay.json("suppression", "list")


async def test_a_named_wait_is_obeyed(tmp_path: Path) -> None:
    async with Sink() as sink, Relay(tmp_path, sink.port) as relay:
        sink.once("RCPT", Say("450 4.2.0 Greylisted, please try again in 300 seconds"))
        queue_id = await asyncio.to_thread(relay.send, "u@rcpt.test")
        deferred = (await relay.story(queue_id, "deferred"))["events"][-1]
        assert deferred["category"] == "greylisted"
        waited = _seconds(deferred["next_attempt_at"]) - _seconds(deferred["at"])
        assert waited == pytest.approx(300, abs=1)


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


async def test_rules_beside_the_configuration_hold_after_sighup_and_faulty_ones_never(tmp_path: Path) -> None:
    own = tmp_path / "bounce_rules.toml"
    async with Sink() as sink, Relay(tmp_path, sink.port) as relay:
        own.write_text('[[rule]]\nname = "ours"\ncategory = "mailbox_full"\nphrases = ["zork"]\nexample = "550 zork"\n')
        assert await relay.json("queue", "list") == []
        relay.process.send_signal(signal.SIGHUP)  # type: ignore[union-attr]
        async with asyncio.timeout(PATIENCE):
            while not relay.log("config.reloaded"):
                await asyncio.sleep(0.02)
        sink.once("RCPT", Say("550 5.0.0 zork"))
        queue_id = await asyncio.to_thread(relay.send, "u@rcpt.test")
        assert (await relay.story(queue_id, "bounced"))["events"][-1]["rule"] == "ours"
        own.write_text('[[rule]]\nname = "ours"\ncategory = "nonsense"\n')
        with pytest.raises(AssertionError, match=r"ended with 78.*nonsense"):
            await relay.run("config", "reload")
        assert "nonsense" in relay.log("config.rejected")[0]["faults"][0]
