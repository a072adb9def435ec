"""Signs of life for the watchdog of systemd."""

import asyncio
import os
import socket
from pathlib import Path

import pytest

from relay.cli.watchdog import interval, keep_alive

UNITS = Path(__file__).resolve().parents[2] / "conf"


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({"WATCHDOG_USEC": "60000000"}, 30.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "7"}, 30.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "8"}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
        ({}, 0.0),
    ],
)
def test_half_of_the_time_of_systemd_for_this_process(environ: dict[str, str], seconds: float) -> None:
    assert interval(environ, 7) == seconds


async def test_signs_of_life_arrive_while_the_loop_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(path))
        systemd.setblocking(False)
        monkeypatch.setitem(os.environ, "NOTIFY_SOCKET", str(path))
        task = asyncio.create_task(keep_alive(0.01))
        loop = asyncio.get_running_loop()
        assert [await loop.sock_recv(systemd, 100) for _ in range(3)] == [b"WATCHDOG=1"] * 3
        task.cancel()


@pytest.mark.parametrize("name", ["relay.service", "relay@.service"])
def test_the_units_have_a_watchdog(name: str) -> None:
    assert "\nWatchdogSec=60s\n" in (UNITS / name).read_text(encoding="utf-8")
