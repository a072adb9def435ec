"""Programs of `requirements/packages.lock`, which `make packages` installs into a virtual environment of their own."""

import shutil
from pathlib import Path

import pytest

BIN = Path(__file__).parents[2] / ".venv-packages" / "bin"


def tool(name: str) -> str:
    """Return the path of a program. Skips without it."""
    found = shutil.which(name, path=str(BIN)) or shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name}: make packages installs it")
    return found
