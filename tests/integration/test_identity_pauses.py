"""An identity whose mail bounces is paused by a whole relay, over a restart, until an operator resumes it."""

import asyncio
import smtplib
from pathlib import Path

from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Say, Sink
from tests.servers.waiting import until

MORE = '[identities."news@acme.test"]\nhourly_limit = 0\ndaily_limit = 0\n[limits]\nidentity_daily_ceiling = 0\n'


def send(port: int, *recipients: str) -> tuple[int, bytes]:
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as client:
        client.ehlo()
        client.mail("news@acme.test")
        for recipient in recipients:
            client.rcpt(recipient)
        return client.data(b"From: news@acme.test\r\nSubject: x\r\n\r\nx\r\n")


async def test_bounces_pause_an_identity_until_an_operator_resumes_it(tmp_path: Path) -> None:
    async with Sink() as sink, RelayProcess(tmp_path, sink.port, MORE) as relay:
        sink.always("RCPT", Say("550 5.1.1 no such user"))
        assert (await asyncio.to_thread(send, relay.port, *(f"u{n}@x{n}.test" for n in range(12))))[0] == 250
        await until(lambda: len(relay.log("identity.paused")) == 1)
        code, text = await asyncio.to_thread(send, relay.port, "new@x.test")
        assert code == 451
        assert text.startswith(b"4.7.1 <news@acme.test> is paused: 12 of 12 recipients bounced within 24 hours")

        await relay.kill()
        await relay.start()
        assert (await asyncio.to_thread(send, relay.port, "new@x.test"))[0] == 451
        assert "identity:news@acme.test" in await relay.run("status")
        assert "paused" in await relay.run("identity", "list")

        sink.behave()
        assert "sends again" in await relay.run("identity", "resume", "news@acme.test")
        assert (await asyncio.to_thread(send, relay.port, "new@x.test"))[0] == 250
        await sink.received(1)
        assert "is paused" in await relay.run("identity", "pause", "news@acme.test", "--reason", "a leak")
        assert b"an operator paused it: a leak" in (await asyncio.to_thread(send, relay.port, "new@x.test"))[1]
