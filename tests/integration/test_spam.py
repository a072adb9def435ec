"""Spam is dropped before it leaves: with Debian's rspamd and spamd."""

import asyncio
import smtplib
from pathlib import Path
from typing import Any

import aiohttp

from tests.integration.mail_helpers import story
from tests.ports import free_port
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink
from tests.servers.spam_filters import SPAM_SUBJECT, Rspamd, Spamd


class Relay(RelayProcess):
    """A relay with a spam filter and metrics."""

    def __init__(self, folder: Path, sink_port: int, spam: str) -> None:
        self.metrics = free_port()
        super().__init__(folder, sink_port, f'[spam]\n{spam}\n[metrics]\naddress = "127.0.0.1:{self.metrics}"\n')

    def send(self, subject: str, *recipients: str) -> str:
        content = f"From: news@acme.test\r\nTo: u@rcpt.test\r\nSubject: {subject}\r\n\r\nHello\r\n".encode()
        with smtplib.SMTP("127.0.0.1", self.port, timeout=20) as client:
            client.ehlo()
            client.mail("news@acme.test")
            for recipient in recipients or ("u@rcpt.test",):
                client.rcpt(recipient)
            code, text = client.data(content)
        return f"{code} {text.decode()}"

    async def story(self, reply: str, last: str) -> dict[str, Any]:
        """Return the story of the message that was answered so, once it has an event of that kind."""
        return await story(self, reply.rsplit(" ", 1)[1], last)


async def test_spam_is_accepted_and_dropped_with_score_and_rules(tmp_path: Path) -> None:
    async with (
        Rspamd() as rspamd,
        Sink() as sink,
        Relay(tmp_path, sink.port, f'rspamd = "http://127.0.0.1:{rspamd.port}"\nfail = "closed"') as relay,
    ):
        spam = await asyncio.to_thread(relay.send, SPAM_SUBJECT, "u@rcpt.test", "v@rcpt.test")
        assert spam.startswith("250 2.0.0 Ok: queued as ")
        story = await relay.story(spam, "dropped")
        assert {one["status"] for one in story["recipients"]} == {"dropped"}
        assert {one["reason"] for one in story["recipients"]} == {"spam: score 20 of 15 (PILLS)"}
        created = story["events"][0]
        assert (created["spam_score"], created["spam_required"], created["spam_symbols"]) == (20.0, 15.0, ["PILLS(20)"])

        ham = await relay.story(await asyncio.to_thread(relay.send, "hello"), "delivered")
        assert ham["events"][0]["spam_score"] == 0.0
        assert len(sink.messages) == 1

        rows = await relay.json("report", "messages", "--status", "dropped")
        assert {(row["status"], row["category"], row["reply"]) for row in rows} == {
            ("dropped", "spam_content", "spam: score 20 of 15 (PILLS)")
        }
        (line,) = relay.log("spam.dropped")
        assert (line["sender"], line["spam_symbols"]) == ("127.0.0.1", ["PILLS(20)"])
        assert len(relay.log("message.dropped")) == 2

        # Without the filter mail is refused for now, and nothing is stored.
        await rspamd.stop()
        for _ in range(2):
            refused = await asyncio.to_thread(relay.send, "hello")
            assert refused == "451 4.7.1 The spam filter does not answer: try again later"
        (failed,) = relay.log("spam.failed")
        assert f"rspamd at http://127.0.0.1:{rspamd.port}: " in failed["error"]
        async with aiohttp.ClientSession() as client, client.get(f"http://127.0.0.1:{relay.metrics}/metrics") as answer:
            metrics = await answer.text()
        for result, count in (("ham", 1), ("spam", 1), ("unchecked", 2)):
            assert f'relay_spam_checks_total{{result="{result}"}} {count}.0' in metrics


async def test_mail_is_accepted_unchecked_while_spamd_is_away(tmp_path: Path) -> None:
    async with (
        Spamd() as spamd,
        Sink() as sink,
        Relay(tmp_path, sink.port, f'spamd = "127.0.0.1:{spamd.port}"') as relay,
    ):
        spam = await asyncio.to_thread(relay.send, SPAM_SUBJECT)
        assert (await relay.story(spam, "dropped"))["recipients"][0]["reason"] == "spam: score 8.6 of 5 (PILLS, TRACE)"
        ham = await relay.story(await asyncio.to_thread(relay.send, "hello"), "delivered")
        assert (ham["events"][0]["spam_score"], ham["events"][0]["spam_symbols"]) == (0.4, ["TRACE"])
        await spamd.stop()
        unchecked = await relay.story(await asyncio.to_thread(relay.send, SPAM_SUBJECT), "delivered")
        assert f"spamd at 127.0.0.1:{spamd.port}: " in unchecked["events"][0]["spam_unchecked"]
        assert len(sink.messages) == 2
