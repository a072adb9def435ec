"""The files of this checkout that git has, and the distributions that are built of them."""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.packages.clean_root import ROOT

BACKEND = """
import sys
from setuptools import build_meta
getattr(build_meta, sys.argv[1])(sys.argv[2])
"""


def names() -> list[str]:
    """Return the files that git has, also those that are not committed yet."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in done.stdout.split("\0") if name]


def tracked_files(folder: Path) -> Path:
    """Copy these files into a folder, and return it."""
    for name in names():
        into = folder / name
        into.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_symlink():
            into.symlink_to((ROOT / name).readlink())
        else:
            shutil.copy2(ROOT / name, into)
    return folder


def build_sdist(checkout: Path, out: Path) -> Path:
    """Return the source distribution of a checkout."""
    return _build("build_sdist", checkout, out)


def build_wheel(checkout: Path, out: Path) -> Path:
    """Return the wheel of a checkout."""
    return _build("build_wheel", checkout, out)


def _build(hook: str, checkout: Path, out: Path) -> Path:
    command = [sys.executable, "-c", BACKEND, hook, str(out)]
    subprocess.run(command, cwd=checkout, check=True, capture_output=True)
    (made,) = out.iterdir()
    return made
