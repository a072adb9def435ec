"""A bare Debian 12, the wheel, six commands: the first tracked mail of README.md, in less than two minutes."""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from tests.documentation import blocks_of, text_of
from tests.packages.clean_root import ROOT, CleanRoot

MAX_SECONDS = 120.0
"""Seconds that the six commands may take, of CPU time always, and by the clock on a machine with nothing else to do."""


def commands() -> list[str]:
    """The commands of docs/install.md, one a line."""
    (block,) = [
        one for one in blocks_of(text_of("docs/install.md")) if "test_first_mail" in one.markers.get("not run", "")
    ]
    return block.text.replace("\\\n", "").splitlines()


def test_six_commands_lead_to_a_tracked_mail(root: CleanRoot, wheel: Path) -> None:
    first = next(one for one in blocks_of(text_of("README.md")) if one.markers.get("file") == "first_mail.py")
    root.put("/root/first_mail.py", first.text.encode())
    root.put(f"/root/{wheel.name}", wheel.read_bytes())
    assert root.run("/bin/sh", "-c", "command -v python3 pip3 pipx gcc", check=False).stdout == ""
    lines = commands()
    assert len(lines) == 6

    began, used, load = time.monotonic(), cpu_seconds(), os.getloadavg()[0]
    # The package of pipx comes from Debian, and the dependencies of relay from PyPI: only these two need the network.
    root.run("/bin/sh", "-c", f"apt-get update -qq && {lines[0]} >/dev/null")
    root.run("/bin/sh", "-c", lines[1], folder="/root")
    shell = root.command("/bin/bash", folder="/root")
    driver = [sys.executable, "-m", "tests.packages.first_mail", json.dumps(shell), json.dumps(lines[2:])]
    done = subprocess.run(["unshare", "--net", *driver], capture_output=True, text=True, cwd=ROOT, check=False)
    took, used = time.monotonic() - began, cpu_seconds() - used
    print(f"six commands: {took:.0f} s by the clock, {used:.0f} s of CPU time, load {load:.0f}")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)

    assert [kind for kind in found["events"] if kind in ("created", "delivered", "open", "click")] == [
        *("created", "delivered", "open", "click")
    ]
    assert found["location"] == "https://example.com/"
    assert found["signed"]
    assert found["doctor"] == [0], "once the records are published, nothing is wrong"
    assert used < MAX_SECONDS
    assert took < MAX_SECONDS or max(load, os.getloadavg()[0]) > (os.cpu_count() or 1)


def cpu_seconds() -> float:
    """Return the CPU time of all commands that have ended."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime
