"""Wheel and source distribution are whole: each file that the program reads, and each that an administrator needs."""

import tarfile
import zipfile
from pathlib import Path

from tests.packages.checkout import names

SOURCES = (".pyx", ".pxi", ".c")
"""Endings of the sources of compiled code, which the wheel has compiled."""


def test_the_wheel_has_every_file_of_the_program(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        there = set(archive.namelist())
    program = {name for name in names() if name.startswith("relay/") and not name.endswith(SOURCES)}
    assert program - there == set()
    compiled = {name for name in there if "/_native." in name and name.endswith(".so")}
    assert {name.split("/")[1] for name in compiled} == {"mail", "rewrite"}
    assert not {name for name in there if name.split("/")[0] in ("tests", "bench", "release", "packaging", "docs")}


def test_what_the_wheel_shares_is_no_link(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name in ("relay.toml", "relay.service", "relay@.service", "alerts.yml", "grafana.json"):
            assert len(archive.read(f"relay/share/{name}")) > 500


def test_the_source_distribution_builds_everything_again(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        there = {name.partition("/")[2] for name in archive.getnames()}
    needed = {
        name
        for name in names()
        if name.split("/")[0] in ("relay", "conf", "docs", "packaging")
        or name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "CHANGELOG.md", "SECURITY.md")
        or name.startswith("requirements/")
    }
    assert needed - there == set()
