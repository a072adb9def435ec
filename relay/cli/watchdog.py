"""The watchdog of systemd: without a sign of life it restarts a process that hangs (sd_watchdog_enabled(3))."""

import asyncio
import os
from collections.abc import Mapping

from relay.cli.sd_notify import sd_notify


def interval(environ: Mapping[str, str] = os.environ, pid: int | None = None) -> float:
    """Return the seconds between two signs of life, half of the time that systemd waits; 0 without a watchdog."""
    mine = str(os.getpid() if pid is None else pid)
    text = environ.get("WATCHDOG_USEC", "")
    if not (text.isascii() and text.isdigit()) or environ.get("WATCHDOG_PID", mine) != mine:
        return 0.0
    return int(text) / 2e6


async def keep_alive(seconds: float) -> None:
    """Send signs of life until cancelled. The event loop sends them, so that they end when it hangs."""
    while True:
        sd_notify("WATCHDOG=1")
        await asyncio.sleep(seconds)
