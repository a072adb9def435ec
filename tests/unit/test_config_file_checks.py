"""Files and folders of the start: what would make it fail is a fault, what only needs a look a warning."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from relay.config.errors import key_text
from relay.config.file_checks import find_file_errors, find_file_warnings
from relay.config.settings import Settings


def _settings(tmp_path: Path, tables: dict[str, Any]) -> Settings:
    server = {"data_dir": str(tmp_path / "data")} | tables.get("server", {})
    return Settings.model_validate({**tables, "server": server})


def _errors(tmp_path: Path, **tables: Any) -> list[str]:
    found = find_file_errors(_settings(tmp_path, tables))
    return [f"{key_text(one.path)}: {one.problem}".replace(str(tmp_path), "HERE") for one in found]


def _warnings(tmp_path: Path, **tables: Any) -> list[str]:
    found = find_file_warnings(_settings(tmp_path, tables), 0.0)
    return [f"{key_text(one.path)}: {one.problem}".replace(str(tmp_path), "HERE") for one in found]


def test_a_data_dir_that_does_not_exist_yet_is_fine(tmp_path: Path) -> None:
    assert _errors(tmp_path, log={"file": "relay.log"}, storage={"url": "sqlite:///x.db"}) == []


@pytest.mark.parametrize(
    ("tables", "fault"),
    [
        ({"log": {"file": "logs/relay.log"}}, "log.file: the folder HERE/data/logs does not exist"),
        ({"log": {"file": "/"}}, "log.file: / is a folder"),
        ({"storage": {"url": "sqlite:///db/relay.db"}}, "storage.url: the folder HERE/data/db does not exist"),
        ({"admin": {"socket": "run/admin.sock"}}, "admin.socket: the folder HERE/data/run does not exist"),
        ({"admin": {"socket": "."}}, "admin.socket: HERE/data is a folder"),
    ],
)
def test_folders_that_are_missing_or_in_the_way(tmp_path: Path, tables: dict[str, Any], fault: str) -> None:
    (tmp_path / "data").mkdir()
    assert _errors(tmp_path, **tables) == [fault]


def _link(path: Path, target: Path) -> None:
    path.symlink_to(target)


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (lambda data: _link(data / "relay.db", data / "gone" / "relay.db"), "storage.url: the folder HERE/data/gone"),
        (lambda data: _link(data / "relay.db", data / "relay.db"), "storage.url: HERE/data/relay.db cannot be used"),
        (lambda data: os.mkfifo(data / "relay.db"), "storage.url: HERE/data/relay.db is a pipe"),
        (lambda data: _link(data / "relay.log", data / "gone" / "log"), "log.file: the folder HERE/data/gone does not"),
        (lambda data: (data / "admin.sock").touch(), "admin.socket: HERE/data/admin.sock is a regular file"),
        (lambda data: (data / "spool").touch(), "server.data_dir: HERE/data/spool is no folder"),
        (lambda data: _link(data / "dkim", data / "gone"), "server.data_dir: HERE/data/dkim is no folder"),
    ],
)
def test_files_of_another_type_and_links_that_lead_nowhere(
    tmp_path: Path, make: Callable[[Path], object], fault: str
) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    make(data)
    (found,) = _errors(tmp_path, log={"file": "relay.log"})
    assert found.startswith(fault)


def test_a_database_behind_a_link_is_fine(tmp_path: Path) -> None:
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    data.mkdir(mode=0o700)
    elsewhere.mkdir()
    _link(data / "relay.db", elsewhere / "relay.db")
    assert _errors(tmp_path) == []


def test_a_data_dir_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    assert _errors(tmp_path) == ["server.data_dir: HERE/data is not a folder"]
    assert _errors(tmp_path, server={"data_dir": str(tmp_path / "data" / "relay")}) == [
        "server.data_dir: HERE/data is not a folder"
    ]


def test_a_socket_whose_path_is_too_long_for_the_system(tmp_path: Path) -> None:
    name = "/run/" + "a" * 103
    assert _errors(tmp_path, admin={"socket": name}) == [
        f"admin.socket: {name} has 108 octets, and the path of a socket at most 107"
    ]
    assert _errors(tmp_path, admin={"socket": name[:-1]}) == []
    assert _errors(tmp_path, admin={"socket": ""}) == []


def test_files_of_the_server_are_no_fault_for_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may not look into data_dir gets the error of the socket from the command."""

    def refuse(path: Path, **_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    settings = _settings(tmp_path, {"log": {"file": "relay.log"}})
    monkeypatch.setattr(Path, "stat", refuse)
    assert list(find_file_errors(settings)) == []
    assert list(find_file_warnings(settings, 0.0)) == []


def test_an_open_data_dir_in_use_is_a_warning(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    assert _warnings(tmp_path) == []
    (data / "relay.db").touch()
    can_read = "other users can read HERE/data, which has the queue and the keys: it has mode 0755"
    assert _warnings(tmp_path) == [f"server.data_dir: {can_read}"]
    assert _warnings(tmp_path, server={"allow_open": True}) == [f"server.allow_open: {can_read}"]
    data.chmod(0o777)
    assert _errors(tmp_path) == ["server.data_dir: other users can write to HERE/data: it has mode 0777"]
    assert "can write to" in _warnings(tmp_path, server={"allow_open": True})[0]
    data.chmod(0o700)
    assert _warnings(tmp_path) == []
