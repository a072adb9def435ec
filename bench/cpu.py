"""CPU time and memory of process trees, from /proc."""

import os
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
