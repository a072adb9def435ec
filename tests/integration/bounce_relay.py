"""A relay with signed return-paths, and mail that comes back to them."""

import smtplib
from pathlib import Path
from typing import Any

from tests.integration.mail_helpers import story
from tests.ports import free_port
from tests.servers.relay_process import RelayProcess
from tests.servers.waiting import until

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
