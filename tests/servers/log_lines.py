"""Lines of the log of a process that runs."""

import json
from pathlib import Path
from typing import Any


def log_lines(file: Path, event: str) -> list[dict[str, Any]]:
    """Return the lines of that name. The process may have written a part of the last line so far: it is left out."""
    whole, _, _ = file.read_text(encoding="utf-8", errors="replace").rpartition("\n")
    lines = [json.loads(line) for line in whole.splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == event]
