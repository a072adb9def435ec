"""The month of an operator: two identities, answers, a vacation note, a request by CC, a bounce by IMAP, the report.

The identity on the platform's domain gets its answers by the MX of the relay, that on the company's own domain by a
signed Reply-To. The commands and their output are kept in tests/.artifacts/operator-month.txt.
"""

import asyncio
import csv
import io
import re
import smtplib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from relay.dsn.compose import Action, OriginalMessage, RecipientStatus, compose
from relay.mail.reply import Reply
from tests.servers.dns_server import DnsServer
from tests.servers.dovecot import PASSWORD, USER, Dovecot, need_dovecot
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Received, Sink
from tests.servers.waiting import until

TRANSCRIPT = Path(__file__).parents[1] / ".artifacts" / "operator-month.txt"

RELAY, CUSTOMERS, COMPANY = "127.0.0.2", "127.0.0.3", "127.0.0.4"

ZONE = f"""
platform.test. MX 10 relay.test.
bounces.platform.test. MX 10 relay.test.
reply.company.test. MX 10 relay.test.
relay.test. A {RELAY}
company.test. MX 10 mx.company.test.
company.test. TXT "v=spf1 ip4:127.0.0.0/8 -all"
mx.company.test. A {COMPANY}
customer.test. MX 10 mx.customer.test.
customer.test. TXT "v=spf1 ip4:127.0.0.0/8 -all"
mx.customer.test. A {CUSTOMERS}
"""

CONFIG = """
[alerts]
mail_to = ["operator@company.test"]
[delivery]
port = {port}
allow_networks = ["127.0.0.0/8"]
[resolver]
nameservers = ["127.0.0.1:{names}"]
[[listener]]
name = "mx"
kind = "inbound"
address = "{relay}:{port}"
[domains."platform.test"]
provider = "direct"
return_path = "bounces.platform.test"
[domains."company.test"]
provider = "direct"
reply_domain = "reply.company.test"
[bounces]
address = "{user}"
[bounces.imap]
host = "localhost"
port = {imap}
username = "{user}"
password = "{password}"
interval = "1s"
"""

RITA, BILLING = "rita@platform.test", "billing@company.test"


@dataclass
class Month:
    """A running relay with its surroundings, and the transcript so far."""

    relay: RelayProcess
    customers: Sink
    company: Sink
    dovecot: Dovecot
    transcript: list[str] = field(default_factory=list)

    async def command(self, *arguments: str) -> str:
        """Run a command, note it with its output, and return the output."""
        _, out = await self.relay.ran(*arguments)
        shown = " ".join(f"'{one}'" if " " in one else one for one in arguments)
        self.transcript.append(f"$ relay {shown}\n{out}")
        return out

    async def send(self, author: str, to: str, invoice: str, more: str = "") -> str:
        """Hand in a mail as the application does, and return its queue id."""
        content = (
            f"From: {author}\r\nTo: {to}\r\nSubject: Invoice {invoice}\r\nMessage-ID: <{invoice}@app.test>\r\n"
            f"X-Relay-Meta-Invoice: {invoice}\r\n{more}\r\nPlease pay.\r\n"
        )
        text = await asyncio.to_thread(give, "127.0.0.1", self.relay.port, author, to, content)
        return text.split()[-1]

    async def bring(self, author: str, to: str, content: str) -> None:
        """Have the customers' mail server bring a mail to the relay."""
        whole = content.replace("\n", "\r\n")
        await asyncio.to_thread(give, RELAY, self.customers.port, author, to, whole)

    async def events(self, queue_id: str, kind: str) -> list[dict[str, object]]:
        (story,) = await self.relay.json("trace", queue_id)
        return [event for event in story["events"] if event["event"] == kind]


def give(host: str, port: int, author: str, to: str, content: str) -> str:
    with smtplib.SMTP(host, port, timeout=30) as client:
        client.ehlo()
        client.mail(author)
        client.rcpt(to)
        code, text = client.data(content.encode())
        assert code == 250, text
        return text.decode()


def mail_for(sink: Sink, address: str) -> list[Received]:
    return [one for one in sink.messages if one.recipients == [address]]


@pytest.fixture
async def month(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Month]:
    need_dovecot()
    async with AsyncExitStack() as stack:
        names = await stack.enter_async_context(DnsServer(ZONE))
        customers = await stack.enter_async_context(Sink(address=CUSTOMERS))
        company = await stack.enter_async_context(Sink(address=COMPANY, port=customers.port))
        dovecot = await stack.enter_async_context(Dovecot())
        monkeypatch.setenv("SSL_CERT_FILE", str(dovecot.authority))
        more = CONFIG.format(
            port=customers.port, names=names.port, relay=RELAY, imap=dovecot.port, user=USER, password=PASSWORD
        )
        relay = RelayProcess(tmp_path, customers.port, more)
        text = relay.config.read_text().replace("[server]", '[server]\nidentities_domain = "platform.test"', 1)
        relay.config.chmod(0o600)
        relay.config.write_text(text.replace('[defaults]\nprovider = "sink"', '[defaults]\nprovider = "direct"'))
        await stack.enter_async_context(relay)
        there = Month(relay, customers, company, dovecot)
        yield there
        TRANSCRIPT.parent.mkdir(exist_ok=True)
        TRANSCRIPT.write_text("\n".join(there.transcript))


async def test_the_month_of_an_operator(month: Month) -> None:
    added = await month.command("identity", "add", "Rita", "--forward-to", "rita@company.test", "--reload")
    assert f"{RITA} is in " in added
    added = await month.command("identity", "add", BILLING, "--forward-to", "office@company.test", "--reload")
    assert f"{BILLING} is in " in added
    assert RITA in await month.command("identity", "list")

    await answered(month)
    await on_vacation(month)
    await unsubscribed_by_cc(month)
    await bounced_by_imap(month)

    span = f"{datetime.now(UTC):%Y-%m}"
    table = await month.command("report", "messages", "--month", span, "--csv", "--all")
    rows = {row["invoice"]: row for row in csv.DictReader(io.StringIO(table))}
    found = {invoice: (row["recipient"], row["status"], row["replied"]) for invoice, row in rows.items()}
    assert found == {
        "1041": ("ann@customer.test", "delivered", "True"),
        "1042": ("bob@customer.test", "delivered", "False"),
        "1043": ("cem@customer.test", "delivered", "False"),
        "1044": ("gone@customer.test", "bounced", "False"),
    }
    assert "user unknown" in rows["1044"]["reply"]
    counted = await month.command("report", "invoices", "--by", "meta:invoice", "--month", span)
    assert re.search(r"^1044 +1 +0 +0 +1 +0 +0$", counted, re.MULTILINE), counted


async def answered(month: Month) -> None:
    """An answer to the address of the identity comes by the MX of the platform's domain, and goes to its owner."""
    queue_id = await month.send(RITA, "ann@customer.test", "1041")
    await until(lambda: mail_for(month.customers, "ann@customer.test"))
    answer = f"From: ann@customer.test\nTo: {RITA}\nSubject: Re: Invoice 1041\nIn-Reply-To: <1041@app.test>\n\nPaid.\n"
    await month.bring("ann@customer.test", RITA, answer)
    (forwarded,) = await until(lambda: mail_for(month.company, "rita@company.test"))
    assert b"Paid." in forwarded.content
    assert len(await month.events(queue_id, "reply")) == 1


async def on_vacation(month: Month) -> None:
    """A vacation note to the signed Reply-To of the company's identity is recorded, and disturbs nobody."""
    queue_id = await month.send(BILLING, "bob@customer.test", "1042")
    (received,) = await until(lambda: mail_for(month.customers, "bob@customer.test"))
    found = re.search(rb"^Reply-To: .*?<?([\w.+-]+@reply\.company\.test)>?", received.content, re.MULTILINE)
    assert found is not None
    note = (
        f"From: bob@customer.test\nTo: {found[1].decode()}\nSubject: Out of office\nAuto-Submitted: auto-replied\n"
        "In-Reply-To: <1042@app.test>\n\nI am away.\n"
    )
    await month.bring("", found[1].decode(), note)
    (event,) = await until(lambda: month.events(queue_id, "reply"))
    assert event["automatic"] is True
    assert not mail_for(month.company, "office@company.test")


async def unsubscribed_by_cc(month: Month) -> None:
    """A customer writes to the mailbox of the identity, whose forwarder copies it to the CC tracking address."""
    campaign = "X-Relay-Campaign: autumn\r\n"
    queue_id = await month.send(BILLING, "cem@customer.test", "1043", campaign)
    await until(lambda: mail_for(month.customers, "cem@customer.test"))
    shown = await month.command("identity", "show", BILLING)
    found = re.search(r"[a-z2-7]{26}@reply\.company\.test", shown)
    assert found is not None, shown
    wish = f"From: cem@customer.test\nTo: {BILLING}\nSubject: unsubscribe\n\nPlease unsubscribe me.\n"
    await month.bring("cem@customer.test", found[0], wish)
    await until(lambda: month.events(queue_id, "unsubscribe"))
    assert "cem@customer.test" in await month.command("unsubscribe", "list")


async def bounced_by_imap(month: Month) -> None:
    """The next server accepts the mail, and its bounce lies in the bounce mailbox."""
    queue_id = await month.send(BILLING, "gone@customer.test", "1044")
    (received,) = await until(lambda: mail_for(month.customers, "gone@customer.test"))
    assert received.reverse_path == USER
    original = OriginalMessage(queue_id, received.reverse_path, 1e9, received.content)
    reply = Reply(550, "5.1.1", "<gone@customer.test>: user unknown")
    fate = RecipientStatus("gone@customer.test", reply, remote="mx.customer.test")
    month.dovecot.put(compose(Action.FAILED, original, [fate], hostname="mx.customer.test", report_id="r1", now=1e9))
    await until(lambda: month.events(queue_id, "bounced"))
    assert "gone@customer.test" in await month.command("suppression", "list")
