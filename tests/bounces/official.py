"""The scoring program that comes with the labelled data, run on `relay classify`."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def score(data: Path, what: str) -> dict[str, Any]:
    """Return its figures for "mail" or "replies"."""
    options = ["--lines"] if what == "mail" else []
    mode = "--paths" if what == "mail" else "--replies"
    command = [sys.executable, str(data / "score.py"), what, "--data", str(data), "--json", *options]
    program = f"{sys.executable} -m relay.cli.classify {mode}"
    done = subprocess.run([*command, "--cmd", program], capture_output=True, check=True, text=True, timeout=110)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures
