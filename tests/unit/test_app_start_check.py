"""What the start does, tried by config check: keys, rules, addresses."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from relay.app.start_check import find_address_faults, find_data_faults
from relay.cli.config import config
from relay.config.errors import key_text
from relay.config.settings import Settings
from relay.storage.sqlite.schema import APPLICATION_ID


def _settings(tmp_path: Path, **tables: Any) -> Settings:
    listener = {"name": "a", "address": "127.0.0.1:0"}
    return Settings.model_validate(
        {"server": {"data_dir": str(tmp_path)}, "listener": [listener], "tracker": {"address": ""}, **tables}
    )


def _header(version: int) -> bytes:
    """A database file of one page, by its header."""
    header = bytearray(b"SQLite format 3\0".ljust(4096, b"\0"))
    header[16:18] = (4096).to_bytes(2, "big")
    header[28:32] = (1).to_bytes(4, "big")
    header[60:64] = version.to_bytes(4, "big")
    header[68:72] = APPLICATION_ID.to_bytes(4, "big")
    return bytes(header)


def _key_faults(tmp_path: Path, **tables: Any) -> list[str]:
    found = find_data_faults(_settings(tmp_path, **tables), tmp_path / "relay.toml")
    return [f"{key_text(one.path)}: {one.problem}".replace(str(tmp_path), "HERE") for one in found]


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"junk\n", 'HERE/tracker.key: key 1 has no id; it should read "k1:<base64>"'),
        (b"k1:\xff", "HERE/tracker.key: is not ASCII"),
        (b"", "HERE/tracker.key: a keyring needs at least one key"),
        (b"k1:AAAA", "HERE/tracker.key: key 'k1' has 3 bytes"),
    ],
)
def test_a_tracker_key_that_cannot_be_used(tmp_path: Path, content: bytes, fault: str) -> None:
    assert _key_faults(tmp_path) == []
    (tmp_path / "tracker.key").write_bytes(content)
    (found,) = _key_faults(tmp_path)
    assert found.startswith(f"tracker.keys: {fault}")


def test_a_dkim_key_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "dkim" / "a.test").mkdir(parents=True)
    (tmp_path / "dkim" / "a.test" / "s1.pem").write_text("junk")
    (found,) = _key_faults(tmp_path, domains={"a.test": {"dkim": {"selectors": ["s1"]}}})
    assert found.startswith('domains."a.test".dkim.selectors: HERE/dkim/a.test/s1.pem: ')


def test_bounce_rules_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "bounce_rules.toml").write_text("x = [")
    (found,) = _key_faults(tmp_path)
    assert "HERE/bounce_rules.toml: line 1: not TOML: the last value is missing or not closed" in found


@pytest.mark.parametrize(
    ("octets", "fault"),
    [
        (b"junk", "the file does not begin like a database"),
        (b"SQLite format 3\0".ljust(4096, b"\0"), "this is a database of another program"),
        (_header(version=9999), "its schema 9999 is newer than this program"),
        (_header(version=1), ""),
        (b"", ""),
    ],
)
def test_a_database_that_cannot_be_opened(tmp_path: Path, octets: bytes, fault: str) -> None:
    (tmp_path / "relay.db").write_bytes(octets)
    assert [fault in one for one in _key_faults(tmp_path)] == ([True] if fault else [])


def test_a_database_server_that_does_not_answer(tmp_path: Path, taken: int) -> None:
    (fault,) = _key_faults(
        tmp_path, storage={"url": f"postgresql://relay:pa55word@127.0.0.1:{taken}/mail?connect_timeout=2"}
    )
    assert fault.startswith("storage.url: PostgreSQL: connection")
    assert "pa55word" not in fault


def test_a_url_of_no_database_server(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    (fault,) = _key_faults(tmp_path, storage={"url": f"postgresql://relay@127.0.0.1:{port}/mail"})
    assert fault.startswith("storage.url: PostgreSQL: connection failed")
    assert f"port {port} failed: Connection refused" in fault


def test_addresses_on_which_nobody_can_listen(tmp_path: Path, taken: int) -> None:
    tables = {
        "tracker": {"address": f"127.0.0.1:{taken}"},
        "metrics": {"address": "192.0.2.1:9925"},
        "admin": {"address": "name.invalid:80", "secret": "x" * 16},
    }
    found = {key_text(one.path): one.problem for one in find_address_faults(_settings(tmp_path, **tables), set())}
    assert found["tracker.address"] == f"another process listens on 127.0.0.1 port {taken}"
    assert found["metrics.address"] == "192.0.2.1 port 9925 is at no address of this machine"
    assert found["admin.address"].startswith("name.invalid is not found: ")
    assert "listener[0].address" not in found


@pytest.mark.parametrize("own", [None, "taken"])
def test_ports_of_the_running_relay_are_its_own(tmp_path: Path, taken: int, own: str | None) -> None:
    settings = _settings(tmp_path, tracker={"address": f"127.0.0.1:{taken}"})
    assert list(find_address_faults(settings, {taken} if own else None)) == []


def test_config_check_reports_them_with_their_line_and_78(tmp_path: Path, taken: int) -> None:
    file = tmp_path / "relay.toml"
    file.write_text(
        f'[server]\ndata_dir = "data"\n[[listener]]\nname = "a"\naddress = "127.0.0.1:{taken}"\n'
        '[tracker]\naddress = ""\n'
    )
    checked = CliRunner().invoke(config, ["check", "-c", str(file)])
    assert checked.exit_code == 78
    assert f"{file}:5: listener[0].address: another process listens on" in checked.stderr
    assert not (tmp_path / "data").exists()
