"""CPU time and memory of process trees, from /proc."""

from pathlib import Path


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
    """Return the CPU seconds of all threads of the trees, to the nanosecond. What ended before is not in it."""
    return sum(map(own_seconds, tree(roots)))


def own_seconds(pid: int) -> float:
    """Return the CPU seconds of all threads of one process."""
    return sum(_run_time(task) for task in Path(f"/proc/{pid}/task").glob("*")) / 1e9


def _run_time(task: Path) -> int:
    try:
        return int((task / "schedstat").read_text().split()[0])
    except OSError:
        return 0


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
