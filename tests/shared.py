"""Where the data that is too large or not ours to ship lies, for the tests that use it when it is there."""

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("RELAY_SHARED", Path(__file__).resolve().parents[2] / "shared"))
"""Folder of the shared data, whether it is there or not."""


def shared(path: str) -> Path:
    """Return the file or folder of that name among the shared data; skip the test when it is not there."""
    found = SHARED / path
    if not found.exists():
        pytest.skip(f"needs {path} of the shared test data (set RELAY_SHARED to its folder)")
    return found
