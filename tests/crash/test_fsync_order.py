"""Power loss: what a client is told with 250 was written and flushed to disk before. Watched by strace."""

import asyncio
import re
import shutil
import smtplib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.servers.relay_process import RelayProcess
from tests.servers.waiting import PATIENCE

MESSAGES = 5

_CALL = re.compile(r"^(?P<thread>\d+)\s+(?P<name>\w+)\((?P<rest>.*)$")

_RESUMED = re.compile(r"^(?P<thread>\d+)\s+<\.\.\. (?P<name>\w+) resumed>(?P<rest>.*)$")


def send(port: int, number: int) -> None:
    content = f"From: a@app.test\r\nSubject: power\r\n\r\nmarker-{number}-marker\r\n".encode()
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        client.sendmail("a@app.test", [f"u{number}@rcpt.test"], content)


def ended_calls(trace: str) -> Iterator[tuple[str, str]]:
    """Yield name and text of each system call in the order they count: writes when made, flushes when done."""
    begun: dict[str, str] = {}
    for line in trace.splitlines():
        if call := _CALL.match(line):
            if call["rest"].endswith("<unfinished ...>") and call["name"] in ("fsync", "fdatasync"):
                begun[call["thread"]] = call["rest"]
            else:
                yield call["name"], call["rest"]
        elif (resumed := _RESUMED.match(line)) and resumed["name"] in ("fsync", "fdatasync"):
            yield resumed["name"], begun.pop(resumed["thread"], "") + resumed["rest"]


def story(trace: str, number: int) -> list[str]:
    """Return what happened, in order: the content was written to the log, the log was flushed, the client was told."""
    seen: list[str] = []
    for name, text in ended_calls(trace):
        if name == "pwrite64" and f"marker-{number}-marker" in text and "-wal>" in text:
            seen.append("written")
        elif name in ("fsync", "fdatasync") and "-wal>" in text and text.rstrip().endswith("= 0"):
            if seen and seen[-1] == "written":
                seen.append("flushed")
        elif "250 2.0.0 Ok: queued" in text and seen:
            return [*seen, "told"]
    return seen


async def test_nobody_gets_250_before_the_log_is_on_disk(tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("needs strace")
    async with RelayProcess(tmp_path, free_port()) as relay:
        assert relay.process is not None
        trace = tmp_path / "trace"
        calls = "trace=pwrite64,fsync,fdatasync,write,writev,sendto,sendmsg"
        command = ["strace", "-f", "-y", "-s", "20000", "-e", calls, "-o", str(trace), "-p", str(relay.process.pid)]
        watcher = await asyncio.create_subprocess_exec(*command, stderr=subprocess.PIPE)
        assert watcher.stderr is not None
        attached = (await asyncio.wait_for(watcher.stderr.readline(), PATIENCE)).decode()
        if "attached" not in attached:
            await watcher.wait()
            pytest.skip(f"strace may not look at processes here: {attached.strip()}")
        for number in range(MESSAGES):
            await asyncio.to_thread(send, relay.port, number)
        watcher.terminate()
        await watcher.wait()
        seen = trace.read_text(errors="replace")
        for number in range(MESSAGES):
            assert story(seen, number) == ["written", "flushed", "told"]
