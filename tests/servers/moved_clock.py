"""`relay` over a clock that a test moves while it runs: `python -P moved_clock.py FILE KIND ARGUMENT…`.

FILE holds the seconds that the clock is ahead (a double of the machine). KIND is `set` where somebody sets the wall
clock, and `passes` where time passes for both clocks, as while a machine is suspended. libfaketime cannot do this: a
process that forks while another of its threads reads the clock waits forever for the lock of that thread.
"""

import mmap
import os
import struct
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

IDLE = 0.2
"""Seconds between two looks of the queue at the clock. Timers do not run while a machine is suspended."""

_DOUBLE = struct.Struct("d")


def write_offset(file: Path, seconds: float) -> None:
    """Move the clock of the programs that use a file to so many seconds off the true time."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        os.pwrite(descriptor, _DOUBLE.pack(seconds), 0)
    finally:
        os.close(descriptor)


def main(file: str, kind: str, *arguments: str) -> None:
    """Run a command of relay with the clock of a file."""
    move_clocks(Path(file), both=kind == "passes")
    runner: Any = import_module("relay.queue.runner")
    runner.MAX_IDLE = IDLE
    sys.argv = ["relay", *arguments]
    import_module("relay.cli").main(prog_name="relay")


def move_clocks(file: Path, *, both: bool) -> None:
    """Have the functions of the module `time` that relay uses add the offset. It must not be imported yet."""
    assert "relay.clock" not in sys.modules
    with file.open("rb") as opened:
        content = mmap.mmap(opened.fileno(), _DOUBLE.size, access=mmap.ACCESS_READ)
    wall, steady = time.time, time.clock_gettime

    def moved_wall() -> float:
        return wall() + float(_DOUBLE.unpack_from(content)[0])

    def moved_steady(clock: int) -> float:
        return steady(clock) + float(_DOUBLE.unpack_from(content)[0])

    time.time = moved_wall
    if both:
        time.clock_gettime = moved_steady


if __name__ == "__main__":
    main(*sys.argv[1:])
