"""What users are shown of their mail: neither notifications, nor copies, nor tests; and what the log says of it."""

import asyncio
import csv
import io
import smtplib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.servers.actions import Say
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink
from tests.servers.waiting import PATIENCE

COPIED = """
[limits]
identity_hourly = 0
identity_daily = 0
identity_daily_ceiling = 0
[identities."billing@acme.test"]
bcc = ["archive@home.test", "second@home.test"]
"""

INVOICE = (
    b"From: billing@acme.test\r\nTo: u@x.test\r\nSubject: Invoice\r\nX-Relay-Tag: invoice\r\n"
    b"X-Relay-Meta-invoice: 1042\r\nX-Relay-Meta-note: %s\r\n\r\nhello\r\n"
)


def send(relay: RelayProcess, *recipients: str) -> None:
    with smtplib.SMTP("127.0.0.1", relay.port, timeout=20) as client:
        client.sendmail("billing@acme.test", recipients, INVOICE % (b"x" * 300))


async def lines(relay: RelayProcess, event: str, number: int) -> None:
    """Return when the log has so many lines of the event."""
    async with asyncio.timeout(PATIENCE):
        while len(relay.log(event)) < number:
            await asyncio.sleep(0.05)


async def test_users_are_shown_their_own_mail_and_the_log_joins_it_to_invoices(tmp_path: Path) -> None:
    async with Sink() as sink, RelayProcess(tmp_path, sink.port, COPIED) as relay:
        await asyncio.to_thread(send, relay, "ok@x.test", "ok@y.test")
        await lines(relay, "message.delivered", 4)  # The recipients, and two copies.
        sink.always("RCPT", Say("550 5.1.1 no such user"))
        await asyncio.to_thread(send, relay, "gone@z.test")
        await lines(relay, "message.bounced", 4)  # The recipient, two copies, and the notification.

        (report,) = await relay.json("report", "bounces")
        assert (report["recipients"], report["bounced"], report["bounce_rate"]) == (3, 1, 0.3333)
        assert [one["bounced"] for one in report["categories"]] == [1]
        assert [(one["destination"], one["recipients"]) for one in report["destinations"]] == [("z.test", 1)]
        (deliveries,) = await relay.json("report", "deliveries")
        assert {one["destination"]: one["recipients"] for one in deliveries["destinations"]} == {
            "x.test": 1,
            "y.test": 1,
            "z.test": 1,
        }
        (whole,) = await relay.json("report", "deliveries", "--system")
        by_destination = {one["destination"]: one["recipients"] for one in whole["destinations"]}
        assert (by_destination["home.test"], by_destination["acme.test"]) == (4, 1), "two copies a message, one DSN"
        assert len(await relay.json("report", "messages")) == 2
        assert len(await relay.json("report", "messages", "--system")) == 3

        (bounced,) = [one for one in relay.log("message.bounced") if one["recipient"] == "gone@z.test"]
        assert (bounced["tags"], bounced["metadata"]["invoice"]) == (["invoice"], "1042")
        assert bounced["metadata"]["note"] == "x" * 199 + "…"
        assert all("1042" in str(one.get("metadata")) for one in relay.log("message.delivered"))


CLERK = (
    b"From: billing@acme.test\r\nTo: %s\r\nSubject: Invoice\r\nX-Relay-Meta-invoice: %s\r\nX-Relay-Meta-status: due\r\n"
    b"X-Relay-Track: none\r\n\r\nhello\r\n"
)


async def test_the_clerk_is_shown_what_became_of_each_invoice(tmp_path: Path) -> None:
    more = '[domains."acme.test"]\nreturn_path = "bounces.acme.test"\n'
    async with Sink() as sink, RelayProcess(tmp_path, sink.port, more) as relay:

        def invoice(recipient: str, number: str) -> None:
            with smtplib.SMTP("127.0.0.1", relay.port, timeout=20) as client:
                client.sendmail("billing@acme.test", [recipient], CLERK % (recipient.encode(), number.encode()))

        await asyncio.to_thread(invoice, "ok@x.test", "1041")
        await asyncio.to_thread(invoice, "second@x.test", "1041")
        await lines(relay, "message.delivered", 2)
        sink.always("RCPT", Say("550 5.1.1 no such user"))
        await asyncio.to_thread(invoice, "gone@x.test", "1042")
        await lines(relay, "message.bounced", 1)

        table = await relay.run("report", "messages", "--status", "bounced,unopened", "--csv")
        rows = {row["recipient"]: row for row in csv.DictReader(io.StringIO(table))}
        assert set(rows) == {"ok@x.test", "second@x.test", "gone@x.test"}
        gone = rows["gone@x.test"]
        assert (gone["invoice"], gone["meta:status"], gone["status"]) == ("1042", "due", "bounced")
        assert (gone["reply"], gone["category"]) == ("550 5.1.1 no such user", "bad_mailbox")
        assert "Look for a typing error" in gone["guidance"]
        (only,) = await relay.json("report", "messages", "--status", "bounced", "--meta", "invoice=1042")
        assert only["recipient"] == "gone@x.test"
        month = datetime.now(UTC).strftime("%Y-%m")
        assert len(await relay.json("report", "messages", "--status", "bounced", "--month", month)) == 1
        assert not await relay.json("report", "messages", "--status", "bounced", "--month", "2020-02")
        by_invoice = await relay.json("report", "invoices", "--by", "meta:invoice")
        assert [(one["meta:invoice"], one["sent"], one["delivered"], one["bounced"]) for one in by_invoice] == [
            ("1041", 2, 2, 0),
            ("1042", 1, 0, 1),
        ]
        for arguments, fault in (
            (("messages", "--status", "lost"), "status 'lost' is not one of"),
            (("messages", "--month", "October"), "'October' is not a month"),
            (("messages", "--month", month, "--until", "1d"), "--month excludes"),
            (("invoices", "--by", "meta:"), "must be meta:KEY"),
        ):
            with pytest.raises(AssertionError, match=fault):
                await relay.run("report", *arguments)
