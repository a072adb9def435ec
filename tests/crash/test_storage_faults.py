"""A disk that is full, a database somebody locks: temporary replies, nothing lost, and over when the fault is over."""

import asyncio
import json
import os
import resource
import smtplib
import sqlite3
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink
from tests.servers.waiting import until

UNLIMITED = resource.RLIM_INFINITY


def send(port: int, number: int, size: int = 200_000) -> tuple[int, bytes]:
    """Send a mail of about that size; return the last reply: to MAIL or RCPT when refused there, else to the dot."""
    content = f"From: a@app.test\r\nSubject: {number}\r\n\r\n".encode() + b"0123456789abcdef\r\n" * (size // 18)
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as client:
        client.ehlo()
        try:
            client.sendmail("a@app.test", [f"u{number}@rcpt.test"], content)
        except smtplib.SMTPResponseException as refused:
            text = refused.smtp_error
            return refused.smtp_code, text if isinstance(text, bytes) else text.encode()
        except smtplib.SMTPRecipientsRefused as refused:
            return next(iter(refused.recipients.values()))
    return 250, b""


def health(port: int) -> tuple[int, bool]:
    """Return the status of /healthz and what it says of the store."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10) as answer:
            return answer.status, json.load(answer)["checks"]["store"]
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code, json.load(answer)["checks"]["store"]


async def refused_with(relay: RelayProcess, taken: list[int], wanted: tuple[int, bytes]) -> None:
    """Send until a mail is refused, with the reply that is wanted and no other."""
    for number in range(len(taken), len(taken) + 100):
        code, text = await asyncio.to_thread(send, relay.port, number)
        if code != 250:
            assert (code, text[:5]) == wanted, text
            return
        taken.append(number)
    raise AssertionError("nothing was refused")


async def recovered(relay: RelayProcess, sink: Sink, taken: list[int]) -> None:
    """The fault is over: health comes back, mail is taken again, and all that ever was arrives once."""
    await until(lambda: health(relay.tracker_port) == (200, True))
    number = len(taken)
    assert await asyncio.to_thread(send, relay.port, number) == (250, b"")
    taken.append(number)
    await until(lambda: len(sink.messages) >= len(taken))
    assert sorted(one for mail in sink.messages for one in mail.recipients) == sorted(f"u{n}@rcpt.test" for n in taken)
    assert len(relay.log("store.trouble")) == len(relay.log("store.recovered")) == 1


def limit_files(relay: RelayProcess, octets: int) -> None:
    """Let no file of the running relay grow beyond that size: what a quota does."""
    assert relay.process is not None
    _, hard = resource.prlimit(relay.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(relay.process.pid, resource.RLIMIT_FSIZE, (octets, hard))


async def test_a_file_size_limit_is_a_full_disk_until_it_is_lifted(tmp_path: Path) -> None:
    async with Sink() as sink, RelayProcess(tmp_path, sink.port) as relay:
        taken: list[int] = []
        limit_files(relay, 2_000_000)
        await refused_with(relay, taken, (452, b"4.3.1"))
        assert health(relay.tracker_port) == (503, False)
        assert relay.log("store.trouble")[0]["full"] is True
        limit_files(relay, UNLIMITED)
        await recovered(relay, sink, taken)


@contextmanager
def small_disk(folder: Path, *options: str, size: str = "24m") -> Iterator[None]:
    """Mount a file system of that size there; skip without the right to mount."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small file system")
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", ",".join((f"size={size}", *options)), "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def test_a_disk_that_others_fill(tmp_path: Path) -> None:
    with small_disk(tmp_path / "data"):
        async with Sink() as sink, RelayProcess(tmp_path, sink.port) as relay:
            taken: list[int] = []
            code, text = await asyncio.to_thread(send, relay.port, 0)
            assert code == 250, text
            taken.append(0)
            disk = os.statvfs(tmp_path / "data")
            stranger = tmp_path / "data" / "stranger"
            stranger.write_bytes(bytes(disk.f_bavail * disk.f_frsize - 100_000))
            await refused_with(relay, taken, (452, b"4.3.1"))
            assert health(relay.tracker_port) == (503, False)
            stranger.unlink()
            await recovered(relay, sink, taken)


async def test_a_read_only_disk_is_no_place_to_start(tmp_path: Path) -> None:
    with small_disk(tmp_path / "data", "ro"):
        relay = RelayProcess(tmp_path, 1)
        with pytest.raises(AssertionError, match=r"ended with 69:(?s:.*)[Rr]ead-only"):
            await relay.start()


async def test_a_database_somebody_locks(tmp_path: Path) -> None:
    async with Sink() as sink, RelayProcess(tmp_path, sink.port) as relay:
        assert await asyncio.to_thread(send, relay.port, 0) == (250, b"")
        await until(lambda: len(sink.messages) == 1)
        with closing(sqlite3.connect(tmp_path / "data" / "relay.db", isolation_level=None)) as stranger:
            stranger.execute("BEGIN IMMEDIATE")
            code, text = await asyncio.to_thread(send, relay.port, 1)
            assert (code, text[:5]) == (451, b"4.3.0")
            assert b"locked" not in text
            assert health(relay.tracker_port) == (503, False)
            stranger.execute("ROLLBACK")
        await recovered(relay, sink, [0])
