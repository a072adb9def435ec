"""The settings and folders of several nodes that one configuration file describes."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from relay.app.data_dir import prepare_node_dir
from relay.cli import main
from relay.config.node_settings import settings_of_node
from relay.config.settings import Settings


def settings(folder: Path, **sections: object) -> Settings:
    return Settings.model_validate({"server": {"hostname": "relay.test", "data_dir": str(folder)}, **sections})


def test_the_first_node_has_the_configuration_and_shares_its_ports(tmp_path: Path) -> None:
    given = settings(tmp_path, admin={"address": "127.0.0.1:8026", "secret": "x" * 40})
    first = settings_of_node(given, 1)
    assert first.server.reuse_port
    assert first.server.data_dir == tmp_path
    assert first.admin == given.admin


def test_other_nodes_have_folders_of_their_own_and_the_same_log(tmp_path: Path) -> None:
    given = settings(
        tmp_path,
        log={"file": "relay.log"},
        metrics={"address": "127.0.0.1:9025"},
        admin={"address": "127.0.0.1:8026", "secret": "x" * 40},
        console={"address": "127.0.0.1:8027"},
        api={"address": "127.0.0.1:8028"},
    )
    third = settings_of_node(given, 3)
    assert third.server.reuse_port
    assert third.server.data_dir == tmp_path / "nodes" / "3"
    assert third.log_file == given.log_file == tmp_path / "relay.log"
    assert (third.admin.address, third.metrics.address, third.admin.socket) == ("", "", given.admin.socket)
    assert (third.console.address, third.api.address) == ("", "")
    assert third.listeners == given.listeners
    assert third.tracker == given.tracker
    assert settings_of_node(settings(tmp_path), 2).log_file is None


@pytest.mark.parametrize(("socket", "name"), [("/run/relay/a.sock", "a.sock"), ("run/a.sock", "a.sock"), ("", "")])
def test_each_node_has_an_admin_socket_of_its_own(tmp_path: Path, socket: str, name: str) -> None:
    """With one absolute path each node would take the socket of the one before."""
    given = settings(tmp_path, admin={"socket": socket})
    assert settings_of_node(given, 1).admin.socket == socket
    assert settings_of_node(given, 2).admin.socket == name


def test_the_keys_of_the_first_node_are_those_of_all(tmp_path: Path) -> None:
    given = settings(tmp_path / "data")
    for node in (1, 2, 3, 2, 3):
        prepare_node_dir(given.server, node)
    (tmp_path / "data" / "tracker.key").write_text("k1:secret")
    (tmp_path / "data" / "dkim" / "acme.test").mkdir()
    for number in ("2", "3"):
        folder = tmp_path / "data" / "nodes" / number
        assert (folder / "tracker.key").read_text() == "k1:secret"
        assert (folder / "dkim" / "acme.test").is_dir()
        assert folder.stat().st_mode & 0o077 == 0
    assert not (tmp_path / "data" / "nodes" / "1").exists()


def test_sqlite_has_one_node(tmp_path: Path) -> None:
    config = tmp_path / "relay.toml"
    config.write_text(f'[server]\nhostname = "relay.test"\ndata_dir = "{tmp_path / "data"}"\n')
    result = CliRunner().invoke(main, ["serve", "-c", str(config), "--nodes", "2"])
    assert result.exit_code == 78
    assert result.stderr == (
        "relay: --nodes 2 needs PostgreSQL, because one process alone may use a SQLite file; "
        'set storage.url = "postgresql://…", or leave --nodes out\n'
    )
