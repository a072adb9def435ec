"""A relay on a small file system."""

import asyncio
import json
import os
import smtplib
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink
from tests.servers.waiting import until


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


@contextmanager
def small_disk(folder: Path, *options: str, size: str = "24m") -> Iterator[None]:
    """Mount a file system of that size there; skip without the right to mount."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small file system")
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", ",".join((f"size={size}", "mode=0700", *options)), "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
