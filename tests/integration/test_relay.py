"""The whole relay as its users meet it: real clients in front, a real server behind, the commands beside it."""

import asyncio
import email
import re
import shutil
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import dkim
import pytest

from relay.domains.key_files import write_key
from relay.mailauth.dkim_keys import dns_record, generate_key, load_key
from tests.integration.mail_helpers import HTML, listed, send, timeline
from tests.servers.actions import Received
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink
from tests.servers.waiting import PATIENCE


async def program(*command: str) -> str:
    """Run a program and return its output; it must succeed."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 0, out.decode()
    return out.decode()


async def assert_tracked(relay: RelayProcess, got: Received) -> None:
    """The link and the pixel of what arrived work."""
    html = got.content.decode()
    (link,) = re.findall(r'href="(http://127\.0\.0\.1:\d+/c/[^"]+)"', html)
    (pixel,) = re.findall(r'src="(http://127\.0\.0\.1:\d+/o/[^"]+)"', html)
    async with aiohttp.ClientSession() as reader:
        async with reader.get(link, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (302, "https://shop.acme.test/?a=1&b=2")
        async with reader.get(pixel) as answer:
            assert (answer.status, answer.content_type) == (200, "image/gif")


async def test_smtplib_to_sink_and_back(tmp_path: Path) -> None:
    key = generate_key("rsa-sha256")
    (tmp_path / "data").mkdir()
    write_key(tmp_path / "data", "acme.test", "s1", key)
    record = dns_record(load_key(key, "acme.test", "s1")).encode()
    async with (
        Sink() as sink,
        RelayProcess(tmp_path, sink.port, '[domains."acme.test"]\ndkim = { selectors = ["s1"] }') as relay,
    ):
        queue_id = await asyncio.to_thread(send, relay.port, HTML, ["u@rcpt.test"])
        (got,) = await sink.received(1)
        assert dkim.verify(got.content, dnsfunc=lambda name, timeout=5: record)  # type: ignore[no-untyped-call]
        headers = email.message_from_bytes(got.content)
        assert queue_id in headers["Received"]
        assert headers["Date"]
        assert headers["Message-ID"] == f"<{queue_id}@acme.test>"
        await assert_tracked(relay, got)
        kinds = await timeline(relay, queue_id, "open")
        assert kinds[:3] == ["created", "processed", "delivered"]
        assert sorted(kinds[3:]) == ["click", "open"]
        assert (await relay.json("trace", f"<{queue_id}@acme.test>"))[0]["queue_id"] == queue_id
        assert (await relay.json("trace", "u@rcpt.test"))[0]["queue_id"] == queue_id
        assert not sink.violations
        delivered = relay.log("message.delivered")[0]
        assert {"queue_id", "recipient", "domain", "lane", "reply", "status", "attempt", "delay"} <= delivered.keys()
        assert await relay.stop() == 0


@pytest.mark.skipif(shutil.which("swaks") is None, reason="needs Debian's swaks")
async def test_swaks_can_send_mail(tmp_path: Path) -> None:
    mail = tmp_path / "mail.eml"
    mail.write_bytes(HTML.replace(b"\r\n", b"\n"))
    async with Sink() as sink, RelayProcess(tmp_path, sink.port) as relay:
        server = f"127.0.0.1:{relay.port}"
        out = await program(
            "swaks", "--server", server, "-f", "news@acme.test", "-t", "u@rcpt.test", "--data", f"@{mail}"
        )
        assert "250 2.0.0 Ok: queued as" in out
        (got,) = await sink.received(1)
        await assert_tracked(relay, got)


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
async def test_curl_can_send_mail(tmp_path: Path) -> None:
    mail = tmp_path / "mail.eml"
    mail.write_bytes(HTML)
    async with Sink() as sink, RelayProcess(tmp_path, sink.port) as relay:
        url = f"smtp://127.0.0.1:{relay.port}/app.test"
        await program(
            "curl", "-sS", url, "--mail-from", "news@acme.test", "--mail-rcpt", "u@rcpt.test", "-T", str(mail)
        )
        (got,) = await sink.received(1)
        await assert_tracked(relay, got)


async def test_a_burst_over_the_limit_waits_with_release_times_over_a_restart(tmp_path: Path) -> None:
    limits = '[identities."billing@acme.test"]\nhourly_limit = 40\ndaily_limit = 200'
    mail = HTML.replace(b"news@acme.test", b"billing@acme.test")
    async with Sink() as sink, RelayProcess(tmp_path, sink.port, limits) as relay:
        for number in range(100):
            await asyncio.to_thread(send, relay.port, mail, [f"u{number}@rcpt.test"], "billing@acme.test")
        await sink.received(40)
        await listed(relay, 60)
        await relay.kill()
        await relay.start()
        waiting = await relay.json("queue", "list")
        assert len(waiting) == 60
        assert all(entry["release_at"] for entry in waiting)
        assert len({entry["recipient"] for entry in waiting} | {r for m in sink.messages for r in m.recipients}) == 100
        assert len(sink.messages) == 40
        (story,) = await relay.json("trace", waiting[0]["queue_id"])
        assert story["recipients"][0]["release_at"] == story["events"][0]["release_at"]


async def test_operators_hold_release_and_delete(tmp_path: Path) -> None:
    async with Sink() as sink, RelayProcess(tmp_path, sink.port) as relay:
        release_at = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%dT00:00:00.000Z}"
        later = HTML.replace(b"Subject:", f"X-Relay-Send-At: {release_at}\r\nSubject:".encode())
        ids = [await asyncio.to_thread(send, relay.port, later, ["u@rcpt.test"]) for _ in range(2)]
        entries = await relay.json("queue", "list")
        assert {entry["release_at"] for entry in entries} == {release_at}
        assert [entry["state"] for entry in await relay.json("queue", "hold", ids[0])] == ["held"]
        assert [entry["state"] for entry in await relay.json("queue", "release", ids[0])] == ["waiting"]
        assert [entry["status"] for entry in await relay.json("queue", "delete", ids[0])] == ["dropped"]
        assert await timeline(relay, ids[0], "dropped") == ["created", "dropped"]
        (logged,) = relay.log("message.dropped")
        assert (logged["queue_id"], logged["reason"]) == (ids[0], "cancelled by the operator")
        await relay.run("queue", "flush", ids[1])
        (got,) = await sink.received(1)
        assert b"X-Relay" not in got.content
        await listed(relay, 0)
        assert "delivered" in await relay.run("queue", "show", ids[1])


async def test_reload_applies_to_the_next_message_and_keeps_old_settings_on_a_fault(
    tmp_path: Path,
) -> None:
    async with Sink() as sink, RelayProcess(tmp_path, sink.port) as relay:
        good = relay.config.read_text()
        relay.config.write_text(good + '[domains."acme.test"]\ntracking = { opens = false, clicks = false }\n')
        assert "reloaded: domains" in await relay.run("config", "reload")
        await asyncio.to_thread(send, relay.port, HTML, ["u@rcpt.test"])
        (untouched,) = await sink.received(1)
        assert b"https://shop.acme.test/?a=1&amp;b=2" in untouched.content
        relay.config.write_text(good + "nonsense = 1\n")
        with pytest.raises(AssertionError, match=r"ended with 78.*nonsense"):
            await relay.run("config", "reload")
        relay.process.send_signal(signal.SIGHUP)  # type: ignore[union-attr]
        while not relay.log("config.rejected"):
            await asyncio.sleep(0.02)
        await asyncio.to_thread(send, relay.port, HTML, ["u@rcpt.test"])
        still = (await sink.received(2))[1]
        assert b"https://shop.acme.test/?a=1&amp;b=2" in still.content
        assert "nonsense" in relay.log("config.rejected")[0]["faults"][0]


async def test_a_second_process_on_the_same_data_is_refused(tmp_path: Path) -> None:
    async with Sink() as sink, RelayProcess(tmp_path, sink.port) as relay:
        twin = RelayProcess(tmp_path, sink.port)
        with pytest.raises(AssertionError, match="ended with 69"):
            await twin.start()
        await asyncio.to_thread(send, relay.port, HTML, ["u@rcpt.test"])
        await sink.received(1)


async def test_a_reload_with_an_unusable_key_keeps_the_old_settings(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "dkim" / "acme.test"
    folder.mkdir(parents=True)
    async with Sink() as sink, RelayProcess(tmp_path, sink.port) as relay:
        (folder / "s1.pem").write_text("not a key")
        relay.config.write_text(relay.config.read_text() + '[domains."acme.test"]\ndkim = { selectors = ["s1"] }\n')
        with pytest.raises(AssertionError, match=r"ended with 78.*s1\.pem"):
            await relay.run("config", "reload")
        assert relay.process is not None
        relay.process.send_signal(signal.SIGHUP)
        while len(relay.log("config.rejected")) < 2:
            await asyncio.sleep(0.02)
        assert all("s1.pem" in line["faults"][0] for line in relay.log("config.rejected"))
        assert not relay.log("library.message")
        await asyncio.to_thread(send, relay.port, HTML, ["u@rcpt.test"])
        assert b"DKIM-Signature" not in (await sink.received(1))[0].content
