"""The data directory: closed at the start, and refused if another user can put files into it."""

import os
from pathlib import Path

import pytest

from relay.app.data_dir import prepare_data_dir
from relay.app.relay import App
from relay.app.tracker import TrackerApp
from relay.config import Settings, check


def _settings(folder: Path, *, allow_open: bool = False) -> Settings:
    return Settings.model_validate({"server": {"data_dir": str(folder), "allow_open": allow_open}})


def _mode(folder: Path) -> int:
    return folder.stat().st_mode & 0o7777


def _faults(config: Path, data: Path, more: str = "") -> list[str]:
    config.write_text(f'[server]\nhostname = "relay.test"\ndata_dir = "{data}"\n{more}')
    config.chmod(0o600)
    return [str(fault) for fault in check(config, {})[1]]


def test_a_new_folder_is_closed(tmp_path: Path) -> None:
    prepare_data_dir(_settings(tmp_path / "a" / "data").server)
    assert _mode(tmp_path / "a" / "data") == 0o700


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o711, 0o701, 0o740])
def test_a_folder_that_others_can_read_is_closed(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    App(_settings(tmp_path))
    assert _mode(tmp_path) == 0o700
    tmp_path.chmod(mode)
    TrackerApp(_settings(tmp_path), tmp_path / "relay.toml")
    assert _mode(tmp_path) == 0o700


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o720, 0o702, 0o1777, 0o2775])
def test_a_folder_that_others_can_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(mode)
    assert _faults(tmp_path / "relay.toml", data) == [
        f"{tmp_path}/relay.toml:3: server.data_dir: other users can write to {data}: it has mode {mode:04o}; "
        "allowed: mode 0700, or allow_open = true"
    ]
    assert _faults(tmp_path / "relay.toml", data, "allow_open = true\n") == []


def test_a_link_counts_as_the_folder_it_names(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real").chmod(0o777)
    (tmp_path / "data").symlink_to(tmp_path / "real")
    assert _faults(tmp_path / "relay.toml", tmp_path / "data")


def test_an_open_folder_stays_open_where_that_is_allowed(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    prepare_data_dir(_settings(tmp_path, allow_open=True).server)
    assert _mode(tmp_path) == 0o750


def test_a_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(PermissionError, match=r"belongs to user \d+, not to .* server.allow_open = true"):
        prepare_data_dir(_settings(tmp_path).server)
    prepare_data_dir(_settings(tmp_path, allow_open=True).server)
