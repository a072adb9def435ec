"""What users are shown of their mail: neither notifications, nor copies, nor tests; and what the log says of it."""

import asyncio
import smtplib
from pathlib import Path

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


async def test_users_are_shown_their_own_mail_and_the_log_joins_it_to_invoices(tmp_path: Path) -> None:
    async with Sink() as sink, RelayProcess(tmp_path, sink.port, COPIED) as relay:
        await asyncio.to_thread(send, relay, "ok@x.test", "ok@y.test")
        await sink.received(1)
        sink.always("RCPT", Say("550 5.1.1 no such user"))
        await asyncio.to_thread(send, relay, "gone@z.test")
        async with asyncio.timeout(PATIENCE):
            while len(relay.log("message.bounced")) < 4:  # The recipient, two copies, and the notification.
                await asyncio.sleep(0.05)

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
