"""A folder with a configuration, its faults, and its warnings."""

from pathlib import Path

import pytest

from relay.config import check


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "conf.d").mkdir()
    return tmp_path


def write(folder: Path, text: str, name: str = "relay.toml") -> Path:
    file = folder / name
    file.write_text(text)
    file.chmod(0o600)
    return file


def faults_of(folder: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    """The faults of a configuration, the folder left out."""
    settings, faults, _ = check(write(folder, text), environ or {})
    assert (settings is None) == bool(faults)
    return [str(fault).replace(f"{folder}/", "") for fault in faults]


def warnings_of(folder: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    settings, faults, warnings = check(write(folder, text), environ or {})
    assert settings is not None, faults
    return [str(warning).replace(f"{folder}/", "") for warning in warnings]
