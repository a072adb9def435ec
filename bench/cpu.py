"""CPU time and memory of process trees, from /proc."""

import os
import subprocess
from pathlib import Path

_OWN, _ENDED_CHILDREN = (11, 12), (13, 14)
"""Places in /proc/<pid>/stat behind the name: user and system time (proc(5))."""

_TICKS = os.sysconf("SC_CLK_TCK")


def tree(roots: list[int]) -> list[int]:
    """Return these processes and all below them."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        fields = _stat(int(folder.name))
        if fields:
            children.setdefault(int(fields[1]), []).append(int(folder.name))
    found, waiting = [], list(roots)
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += children.get(pid, [])
    return found


def seconds(roots: list[int]) -> float:
    """Return the CPU seconds of the trees, in hundredths, with those of threads and child processes that ended.

    A milter makes a thread for each connection: without the ended ones it seems to cost half.
    """
    return sum(_ticks(pid, _OWN + _ENDED_CHILDREN) for pid in tree(roots)) / _TICKS


def own_seconds(pid: int) -> float:
    """Return the CPU seconds of one process alone."""
    return _ticks(pid, _OWN) / _TICKS


def _ticks(pid: int, places: tuple[int, ...]) -> int:
    fields = _stat(pid)
    return sum(int(fields[place]) for place in places) if fields else 0


def other_threads(pid: int) -> float:
    """Return the CPU seconds of the threads of a process beside the main one: in relay those of the store."""
    threads = (task for task in Path(f"/proc/{pid}/task").iterdir() if task.name != str(pid))
    return sum(int((task / "schedstat").read_text().split()[0]) for task in threads) / 1e9


def parts(root: int) -> dict[str, float]:
    """Return the CPU seconds of a process by its main thread, its other threads, and the processes below it."""
    own, others = own_seconds(root), other_threads(root)
    return {"main thread": own - others, "other threads": others, "child processes": seconds([root]) - own}


def signature_ms() -> float | None:
    """Return the CPU milliseconds that OpenSSL needs for one RSA-2048 signature, None without the program."""
    try:
        printed = subprocess.run(
            ["openssl", "speed", "-seconds", "1", "-mr", "rsa2048"], check=True, capture_output=True, text=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    line = next(line for line in printed.splitlines() if line.startswith("+F2:"))
    return 1000 / float(line.split(":")[3])


def resident(roots: list[int]) -> int:
    """Return the octets of memory the trees have to themselves, shared pages divided among who shares them (PSS)."""
    return sum(_pss(pid) for pid in tree(roots))


def _pss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/<pid>/stat behind the command's name: state first, [] when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
