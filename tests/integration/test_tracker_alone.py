"""`relay tracker` on another machine: it has the keys and a spool, and the relay takes in what it wrote."""

import asyncio
import re
import shutil
import signal
import smtplib
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from relay.rewrite.tokens import Kind, Token, parse_keyring, sign_token
from tests.ports import free_port
from tests.servers import forked
from tests.servers.log_lines import log_lines
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink
from tests.servers.waiting import PATIENCE, until

HTML = (
    b"From: Acme <news@acme.test>\r\nTo: u@rcpt.test\r\nSubject: hello\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
    b'<html><body><p><a href="https://shop.acme.test/?a=1&amp;b=2">shop</a></p></body></html>\r\n'
)

KEY = "k7:" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY="


def send(port: int) -> str:
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        client.ehlo()
        client.mail("news@acme.test")
        client.rcpt("u@rcpt.test")
        code, text = client.data(HTML)
        assert code == 250, text
        return text.decode().rsplit(" ", 1)[1]


class TrackerProcess:
    """`relay tracker` in a process of its own, with nothing of the relay but its key."""

    def __init__(self, folder: Path, port: int) -> None:
        folder.mkdir()
        self.data = folder / "data"
        self.config = folder / "tracker.toml"
        self.log_file = folder / "tracker.log"
        self.port = port
        self.config.write_text(
            f"""
[server]
hostname = "t.test"
data_dir = "data"
[tracker]
address = "127.0.0.1:{port}"
keys_file = "keys"
"""
        )
        (folder / "keys").write_text(KEY + "\n")
        (folder / "keys").chmod(0o600)

    async def start(self) -> None:
        with self.log_file.open("ab") as log:
            self.process = await forked.start(
                "tracker", "-c", str(self.config), stdout=log.fileno(), stderr=log.fileno()
            )
        async with asyncio.timeout(PATIENCE):
            while '"server.started"' not in self.log_file.read_text():
                assert self.process.returncode is None, self.log_file.read_text()
                await asyncio.sleep(0.02)

    async def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), PATIENCE)

    def logged(self, event: str) -> list[dict[str, Any]]:
        return log_lines(self.log_file, event)


async def read(html: str) -> None:
    """Open the mail and follow its link."""
    (link,) = re.findall(r'href="(http://127\.0\.0\.1:\d+/c/[^"]+)"', html)
    (pixel,) = re.findall(r'src="(http://127\.0\.0\.1:\d+/o/[^"]+)"', html)
    async with aiohttp.ClientSession() as reader:
        async with reader.get(pixel) as answer:
            assert (answer.status, answer.content_type) == (200, "image/gif")
        async with reader.get(link, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (302, "https://shop.acme.test/?a=1&b=2")
        async with reader.get(link[:-4] + "AAAA", allow_redirects=False) as answer:
            assert answer.status == 404


async def kinds(relay: RelayProcess, queue_id: str, count: int) -> list[str]:
    """Return the kinds of events of a message, once there are so many."""

    async def found() -> list[str]:
        (story,) = await relay.json("trace", queue_id)
        return [event["event"] for event in story["events"]] if len(story["events"]) >= count else []

    return await until(found)


async def test_events_of_a_standalone_tracker_are_in_the_timeline(tmp_path: Path) -> None:
    away = TrackerProcess(tmp_path / "away", free_port())
    more = f"""
[domains."acme.test".tracking]
base_url = "http://127.0.0.1:{away.port}"
"""
    async with Sink() as sink:
        relay = RelayProcess(tmp_path, sink.port, more)
        config = relay.config.read_text().replace("[tracker]\n", f'[tracker]\nkeys = ["{KEY}"]\n')
        relay.config.write_text(config)
        async with relay:
            queue_id = await asyncio.to_thread(send, relay.port)
            (got,) = await sink.received(1)
            await away.start()
            try:
                await read(got.content.decode())
            finally:
                assert await away.stop() == 0
            assert [line["queue_id"] for line in away.logged("message.open")] == [queue_id]
            assert away.logged("message.click")[0]["target"] == "https://shop.acme.test/?a=1&b=2"
            written = list((away.data / "spool").iterdir())
            assert written
            assert all(file.name.endswith(".jsonl") for file in written)
            for file in written:
                part = tmp_path / "data" / "spool" / f"{file.name}.part"
                shutil.copy(file, part)
                part.rename(part.with_suffix(""))
            assert sorted((await kinds(relay, queue_id, 5))[3:]) == ["click", "open"]
            assert not list((tmp_path / "data" / "spool").glob("*.jsonl"))


async def test_a_standalone_tracker_follows_its_file_of_blocked_links(tmp_path: Path) -> None:
    away = TrackerProcess(tmp_path / "away", free_port())
    link = sign_token(parse_keyring([KEY]), Token(Kind.CLICK, "0ABCDFGHJKLMNP", 0, "https://shop.acme.test/"))
    file = away.data / "blocked-links"
    await away.start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{away.port}") as reader:

            async def status() -> int:
                async with reader.get(f"/c/{link}", allow_redirects=False) as answer:
                    return answer.status

            assert await status() == 302
            file.write_text("# from the relay\nacme.test\n\nnothing at all\n")
            async with asyncio.timeout(PATIENCE):
                while await status() != 410:
                    await asyncio.sleep(0.1)
            (line,) = away.logged("links.read")
            assert (line["blocks"], [fault[:7] for fault in line["faults"]]) == (1, ["line 4:"])
            file.unlink()
            async with asyncio.timeout(PATIENCE):
                while await status() != 302:
                    await asyncio.sleep(0.1)
    finally:
        assert await away.stop() == 0


async def test_a_standalone_tracker_needs_an_address(tmp_path: Path) -> None:
    away = TrackerProcess(tmp_path / "away", free_port())
    away.config.write_text(away.config.read_text().replace(f"127.0.0.1:{away.port}", ""))
    with pytest.raises(AssertionError, match=r"tracker\.address is empty; set it to run the tracker"):
        await away.start()
    assert away.process.returncode == 78
