"""Bounces end to end: signed return-paths out, returning mail in, and what the commands then tell."""

import asyncio
import csv
import io
import json
import signal
import smtplib
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.integration.mail_helpers import story
from tests.ports import free_port
from tests.servers.actions import Say
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink
from tests.servers.waiting import PATIENCE, until

MAIL = (
    b"From: Acme <news@acme.test>\r\nTo: u@rcpt.test\r\nSubject: invoice\r\nX-Relay-Tag: billing\r\n"
    b"X-Relay-Meta-invoice: 1042\r\nContent-Type: text/plain\r\n\r\nhello\r\n"
)

BOUNCE = b"""\
From: MAILER-DAEMON@mx.rcpt.test
To: %(to)s
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: text/plain

Your message could not be delivered.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.rcpt.test

Final-Recipient: rfc822; u@rcpt.test
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 <u@rcpt.test>: user unknown

--b--
""".replace(b"\n", b"\r\n")

COMPLAINT = b"""\
From: fbl@rcpt.test
To: %(to)s
Subject: complaint
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary=b

--b
Content-Type: text/plain

An abuse report.

--b
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: FBL/1.0
Version: 1

--b
Content-Type: message/rfc822

From: news@acme.test
To: u@rcpt.test
Subject: invoice

hello

--b--
""".replace(b"\n", b"\r\n")

VACATION = b"From: u@rcpt.test\r\nTo: %(to)s\r\nSubject: Out of office\r\nAuto-Submitted: auto-replied\r\n\r\nAway.\r\n"


class Relay(RelayProcess):
    """A relay with an inbound listener and a domain of signed return-paths."""

    def __init__(self, folder: Path, sink_port: int, bounces: str = "") -> None:
        self.inbound = free_port()
        super().__init__(
            folder,
            sink_port,
            f"""
[bounces]
{bounces}
[alerts]
mail_to = ["ops@acme.test"]
[domains."acme.test"]
return_path = "bounces.acme.test"
[[listener]]
name = "mx"
kind = "inbound"
address = "127.0.0.1:{self.inbound}"
""",
        )

    def send(self, *recipients: str) -> str:
        with smtplib.SMTP("127.0.0.1", self.port, timeout=20) as client:
            client.ehlo()
            client.mail("news@acme.test")
            for recipient in recipients:
                client.rcpt(recipient)
            code, text = client.data(MAIL)
            assert code == 250, text
            return text.decode().rsplit(" ", 1)[1]

    def give_back(self, recipient: str, content: bytes) -> bytes:
        with smtplib.SMTP("127.0.0.1", self.inbound, timeout=20) as client:
            client.sendmail("", [recipient], content.replace(b"%(to)s", recipient.encode()))
        return content

    async def probation(self) -> None:
        """Return once the only suppression has ended."""

        async def has_ended() -> bool:
            return [one["state"] for one in await self.json("suppression", "list")] == ["probation"]

        await until(has_ended)

    async def story(self, queue_id: str, last: str) -> dict[str, Any]:
        """Return the story, once it has an event of that kind."""
        return await story(self, queue_id, last)


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
        sink.once("RCPT", Say("550 5.7.26 This message fails SPF and DKIM authentication checks"))
        unsigned = await asyncio.to_thread(relay.send, "u@rcpt.test")
        assert (await relay.story(unsigned, "bounced"))["events"][-1]["category"] == "auth_failed"
        assert [one["address"] for one in await relay.json("suppression", "list")] == ["gone@rcpt.test"]


async def test_soft_bounces_count_to_the_threshold_and_the_suppression_ends_by_a_test(tmp_path: Path) -> None:
    async with Sink() as sink, Relay(tmp_path, sink.port, 'expire = { mailbox_full = "200ms" }') as relay:
        for number in range(3):
            assert not await relay.json("suppression", "list")
            sink.once("RCPT", Say("552 5.2.2 Mailbox full"))
            queue_id = await asyncio.to_thread(relay.send, "full@rcpt.test")
            assert (await relay.story(queue_id, "bounced"))["events"][-1]["category"] == "mailbox_full", number
        assert [one["reason"] for one in await relay.json("suppression", "list")] == ["mailbox_full"]

        for number, seconds in enumerate((0.4, 0.8)):
            await relay.probation()
            sink.once("RCPT", Say("552 5.2.2 Mailbox full"))
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


async def _lift_what_counts_no_more(relay: Relay, file: Path) -> None:
    """Give the list a row that a former version made of a reply about the sender, and replay it."""
    row = {"address": "z@x.test", "reason": "blocked", "reply": "554 blocked", "provenance": "session"}
    file.write_text(json.dumps(row))
    await relay.run("suppression", "import", str(file))
    for options in ((), ("--lift",)):
        (lifted,) = await relay.json("suppression", "replay", *options)
        assert (lifted["address"], lifted["step"]) == ("z@x.test", "lift")
        assert "do not suppress" in lifted["why"]
    assert not await relay.json("suppression", "replay")
    assert not await relay.json("suppression", "list", "--unproven")


async def test_the_suppression_list_is_edited_exported_and_imported(tmp_path: Path) -> None:
    async with Sink() as sink, Relay(tmp_path, sink.port) as relay:
        await relay.json("suppression", "add", "A@x.test", "b@x.test", "--note", "asked by phone", "--expires", "30d")
        await relay.json("suppression", "add", "c@x.test", "--domain", "acme.test")
        listed = await relay.json("suppression", "list")
        assert [(one["address"], one["domain"], one["reason"]) for one in listed] == [
            ("a@x.test", "", "manual"),
            ("b@x.test", "", "manual"),
            ("c@x.test", "acme.test", "manual"),
        ]
        assert listed[0]["expires_at"]
        table = await relay.run("suppression", "export")
        lines = await relay.run("suppression", "export", "--json")
        assert [row["address"] for row in csv.DictReader(io.StringIO(table))] == ["a@x.test", "b@x.test", "c@x.test"]
        for name, text in (("list.csv", table), ("list.jsonl", lines)):
            await relay.run("suppression", "remove", "a@x.test", "b@x.test")
            await relay.run("suppression", "remove", "c@x.test", "--domain", "acme.test")
            assert not await relay.json("suppression", "list")
            (tmp_path / name).write_text(text)
            (answer,) = await relay.json("suppression", "import", str(tmp_path / name))
            assert (answer["imported"], answer["faults"]) == (3, 0)
            assert await relay.json("suppression", "list") == listed
        await _lift_what_counts_no_more(relay, tmp_path / "old.jsonl")
        assert await relay.json("suppression", "list") == listed
        (tmp_path / "bad.csv").write_text("address\nno-address\n")
        with pytest.raises(AssertionError, match="no @ in the address"):
            await relay.run("suppression", "import", str(tmp_path / "bad.csv"))
        with pytest.raises(AssertionError, match="ended with 1"):
            await relay.run("suppression", "remove", "nobody@x.test")


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


async def test_reports_count_bounces_explain_them_and_show_the_messages_behind(tmp_path: Path) -> None:
    async with Sink() as sink, Relay(tmp_path, sink.port) as relay:
        await _history(relay, sink)
        (found,) = await relay.json("report", "bounces", "--since", "1d")
        counts = ("recipients", "delivered", "bounced", "dropped", "waiting", "late")
        assert [found[key] for key in counts] == [3, 0, 3, 0, 0, 1]
        assert found["bounce_rate"] == 1.0
        # With two notifications to news@acme.test about what was refused at once.
        (whole,) = await relay.json("report", "bounces", "--since", "1d", "--system")
        assert [whole[key] for key in counts] == [5, 2, 3, 0, 0, 1]
        by_category = {one["category"]: one for one in found["categories"]}
        assert {name: one["bounced"] for name, one in by_category.items()} == {"bad_mailbox": 2, "recipient_refused": 1}
        assert "Look for a typing error in the address." in by_category["bad_mailbox"]["guidance"]
        (rcpt,) = found["destinations"]
        assert (rcpt["destination"], rcpt["recipients"], rcpt["bounced"]) == ("rcpt.test", 3, 3)
        assert sum(one["count"] for one in found["replies"]) == 3
        late = await relay.json(
            "report", "bounces", "--category", "bad_mailbox", "--meta", "invoice=1042", "--messages"
        )
        assert sorted(one["recipient"] for one in late) == ["gone@rcpt.test", "u@rcpt.test"]
        assert {(one["subject"], one["type"], one["domain"]) for one in late} == {
            ("invoice", "transactional", "acme.test")
        }
        for nothing in (
            ("--tag", "other"),
            ("--type", "campaign"),
            ("--identity", "x@y.test"),
            ("--since", "2099-01-01"),
        ):
            assert not await relay.json("report", "bounces", "--messages", *nothing)
        table = await relay.run("report", "bounces", "--csv")
        assert {row["category"]: row["bounced"] for row in csv.DictReader(io.StringIO(table))} == {
            "bad_mailbox": "2",
            "recipient_refused": "1",
        }
        shown = await relay.run("report", "bounces")
        assert "No such address (bad_mailbox)" in shown
        (deliveries,) = await relay.json("report", "deliveries", "--domain", "acme.test")
        assert (deliveries["recipients"], deliveries["delivered"], deliveries["bounced"]) == (3, 0, 3)
        stories = await relay.json("report", "messages", "--meta", "invoice=1042")
        assert [one["recipients"][0]["recipient"] for one in stories] == [
            "u@rcpt.test",
            "odd@rcpt.test",
            "gone@rcpt.test",
        ]
        assert {one["recipients"][0]["status"] for one in stories} == {"bounced"}
        assert not stories[0]["recipients"][0]["reply"].startswith("250"), "a late bounce shows its own reply"
        assert not await relay.json("report", "messages", "--meta", "invoice=1043")
        (cluster,) = await relay.json("report", "unclassified")
        assert (cluster["count"], cluster["example"]) == (1, "550 5.0.0 Zork 4711 blorb")
        with pytest.raises(AssertionError, match="not one of"):
            await relay.run("report", "bounces", "--category", "nonsense")
        with pytest.raises(AssertionError, match="use 30d"):
            await relay.run("report", "bounces", "--since", "soon")


async def _history(relay: Relay, sink: Sink) -> None:
    """One recipient refused as unknown, one refused in words nobody knows, one taken that bounces afterwards."""
    for text, recipient in (
        ("550 5.1.1 <gone@rcpt.test>: Recipient address rejected: User unknown", "gone@rcpt.test"),
        ("550 5.0.0 Zork 4711 blorb", "odd@rcpt.test"),
    ):
        sink.once("RCPT", Say(text))
        await relay.story(await asyncio.to_thread(relay.send, recipient), "bounced")
    await sink.received(2)
    queue_id = await asyncio.to_thread(relay.send, "u@rcpt.test")
    got = (await sink.received(3))[2]
    await relay.story(queue_id, "delivered")
    await asyncio.to_thread(relay.give_back, got.reverse_path, BOUNCE)
    await relay.story(queue_id, "bounced")
