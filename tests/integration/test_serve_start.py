"""Starting: folders are made, and what is in the way is said in a word."""

import asyncio
import signal
from functools import partial
from pathlib import Path

import pytest

from tests.servers.relay_process import RelayProcess
from tests.servers.waiting import until


async def test_data_folder_and_log_are_made_on_the_first_start(tmp_path: Path) -> None:
    relay = RelayProcess(tmp_path, 9, '[log]\nfile = "relay.log"')
    await relay.start()
    try:
        assert "server.started" in (tmp_path / "data" / "relay.log").read_text()
        assert (tmp_path / "data").stat().st_mode & 0o077 == 0
        assert (tmp_path / "data" / "tracker.key").stat().st_mode & 0o077 == 0
        assert (tmp_path / "data" / "admin.sock").stat().st_mode & 0o077 == 0
    finally:
        assert await relay.stop() == 0


async def test_a_port_in_use_is_a_clear_error(tmp_path: Path) -> None:
    async with RelayProcess(tmp_path, 9) as relay:
        other = tmp_path / "other"
        other.mkdir()
        twin = RelayProcess(other, 9)
        twin.config.write_text(twin.config.read_text().replace(f":{twin.port}", f":{relay.port}"))
        with pytest.raises(AssertionError, match=r"ended with 78:[\s\S]*another process listens on"):
            await twin.start()


async def test_a_signal_during_the_start_ends_it_in_order(tmp_path: Path) -> None:
    """From the first greeting on."""
    relay = RelayProcess(tmp_path, 9)
    relay.environment = {"RELAY__LOG__LEVEL": "info"}  # A program of its own, whose start takes its time.
    starting = asyncio.create_task(relay.start())
    client = await until(partial(greeting, relay.port))
    assert client.startswith(b"220 ")
    assert await relay.stop() == 0
    await asyncio.wait({starting})
    starting.exception()
    assert [line["signal"] for line in relay.log("server.stopping")] == ["SIGTERM"]
    assert len(relay.log("server.stopped")) == 1


ROTATED_AT_LISTENING = """
import os, signal, sys
from relay.cli import main
from relay.app.smtp_listeners import SmtpListeners

serve = SmtpListeners.serve

async def rotated(self, kind, handler):
    await serve(self, kind, handler)
    if kind == "submission":
        os.rename(os.environ["LOG"], os.environ["LOG"] + ".1")
        os.kill(os.getpid(), int(os.environ["SIGNAL"]))

SmtpListeners.serve = rotated
sys.argv[0] = "relay"
main()
"""


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1])
async def test_a_log_that_is_rotated_during_the_start_is_reopened(tmp_path: Path, number: signal.Signals) -> None:
    log = tmp_path / "data" / "relay.log"
    relay = RelayProcess(tmp_path, 9, '[log]\nfile = "relay.log"')
    relay.program = ("-c", ROTATED_AT_LISTENING)
    relay.environment = {"LOG": str(log), "SIGNAL": str(int(number))}
    async with relay:
        await until(log.exists)
        if number == signal.SIGHUP:
            await until(lambda: "config.reloaded" in log.read_text())


async def greeting(port: int) -> bytes:
    """Return the greeting of the server at a port, b"" while none listens."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return b""
    try:
        return await reader.readline()
    finally:
        writer.close()
