"""`relay config check` finds what `relay serve` fails at: the same sentence, the same exit code."""

import os
import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from relay.app.relay import App
from relay.app.tracker import TrackerApp
from relay.cli.config import config
from relay.cli.serve import start_app
from relay.cli.signals import SignalHandler
from relay.cli.start_faults import print_start_faults
from relay.config import check

Break = Callable[[Path], None]


class Sockets:
    """Sockets of another program, by what it does: `taken` listens, `shared` with SO_REUSEPORT."""

    def __init__(self) -> None:
        self._taken = socket.create_server(("127.0.0.1", 0))
        self._shared = socket.create_server(("127.0.0.1", 0), reuse_port=True)
        self.taken, self.shared = (one.getsockname()[1] for one in (self._taken, self._shared))
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.free = free.getsockname()[1]

    def close(self) -> None:
        self._taken.close()
        self._shared.close()


@pytest.fixture
def sockets() -> Iterator[Sockets]:
    found = Sockets()
    yield found
    found.close()


def _nothing(_: Path) -> None:
    """Break nothing."""


def _in_data(name: str, make: Callable[[Path], object]) -> Break:
    def broken(data: Path) -> None:
        data.mkdir(mode=0o700)
        make(data / name)

    return broken


def _link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def _link_to_nowhere(path: Path) -> None:
    path.symlink_to("nowhere")


def _junk(path: Path) -> None:
    path.write_bytes(b"\xff\0junk" * 1000)


_SECOND = '[[listener]]\nname = "b"\naddress = "%s"\n'

_BROKEN: dict[str, tuple[str, Break]] = {
    "nothing": ("", _nothing),
    **{
        f"{name} is a folder": ("", _in_data(name, Path.mkdir))
        for name in ("relay.db", "relay.db.lock", "relay.db-wal", "tracker.key", "deliveries.journal", "admin.sock")
    },
    **{
        f"{name} leads to itself": ("", _in_data(name, _link_to_itself))
        for name in ("relay.db", "relay.db.lock", "tracker.key", "deliveries.journal", "admin.sock", "spool", "dkim")
    },
    **{
        f"{name} is a pipe": ("", _in_data(name, os.mkfifo))
        for name in ("relay.db", "relay.db.lock", "tracker.key", "deliveries.journal", "admin.sock", "spool")
    },
    **{
        f"{name} is junk": ("", _in_data(name, _junk))
        for name in ("relay.db", "relay.db.lock", "tracker.key", "deliveries.journal", "spool", "dkim")
    },
    "spool leads nowhere": ("", _in_data("spool", _link_to_nowhere)),
    "dkim leads nowhere": ("", _in_data("dkim", _link_to_nowhere)),
    "data_dir leads nowhere": ("", _link_to_nowhere),
    "data_dir leads to itself": ("", _link_to_itself),
    "data_dir is a file": ("", _junk),
    "an address of another program": (_SECOND % "127.0.0.1:{taken}", _nothing),
    "all addresses, one of another program": (_SECOND % "0.0.0.0:{taken}", _nothing),
    "the API at an address of another program": ('[api]\naddress = "127.0.0.1:{taken}"', _nothing),
    "metrics at an address of another program": ('[metrics]\naddress = "127.0.0.1:{taken}"', _nothing),
    "the dashboard at an address of another program": (
        '[admin]\naddress = "127.0.0.1:{taken}"\nsecret = "0123456789abcdef"',
        _nothing,
    ),
    "an address that another program shares": (_SECOND % "127.0.0.1:{shared}", _nothing),
    "two spellings of one address": (
        (_SECOND % "[::1]:{free}") + _SECOND.replace('"b"', '"c"') % "[0::1]:{free}",
        _nothing,
    ),
    "an IPv4-mapped address": (_SECOND % "[::ffff:127.0.0.1]:{free}", _nothing),
    "an address of no machine": (_SECOND % "192.0.2.1:{free}", _nothing),
    "a name of no machine": (_SECOND % "name.invalid:{free}", _nothing),
    "a log in a folder that is none": ('[log]\nfile = "/proc/none/relay.log"', _nothing),
}


@pytest.mark.parametrize("name", _BROKEN)
async def test_the_start_fails_at_what_the_check_finds_and_at_nothing_else(
    tmp_path: Path, sockets: Sockets, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    tables, break_it = _BROKEN[name]
    file = tmp_path / "relay.toml"
    ports = {"taken": sockets.taken, "shared": sockets.shared, "free": sockets.free}
    for key, port in ports.items():
        tables = tables.replace(f"{{{key}}}", str(port))
    file.write_text(
        f'[server]\ndata_dir = "{tmp_path}/data"\n[[listener]]\nname = "a"\naddress = "127.0.0.1:0"\n'
        f'[tracker]\naddress = ""\n{tables}\n'
    )
    file.chmod(0o600)
    break_it(tmp_path / "data")
    checked = CliRunner().invoke(config, ["check", "-c", str(file)])

    settings, faults, _ = check(file, {})
    capfd.readouterr()
    if settings is None:
        result: App | TrackerApp | int = 78
        said = "".join(f"{one}\n" for one in faults)
    else:
        result = await start_app(
            partial(App, settings, file), partial(print_start_faults, settings, file), SignalHandler()
        )
        said = "".join(line for line in capfd.readouterr().err.splitlines(keepends=True) if not line.startswith("{"))
    if isinstance(result, App | TrackerApp):
        await result.stop()
        result, said = 0, ""

    assert (result, said.strip()) == (checked.exit_code, checked.stderr.strip())
    assert bool(said) is (result != 0)


@pytest.mark.parametrize("name", ["data", "data/spool"])
def test_a_folder_in_which_no_file_can_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir(parents=True, mode=0o700)
    file = tmp_path / "relay.toml"
    file.write_text(f'[server]\ndata_dir = "{tmp_path}/data"\n[tracker]\naddress = ""\n')
    (tmp_path / "data").chmod(0o700)
    monkeypatch.setattr(os, "access", lambda path, mode: path != folder)
    checked = CliRunner().invoke(config, ["check", "-c", str(file)])
    assert f"server.data_dir: no file can be created in {folder}: " in checked.stderr
    assert checked.exit_code == 78 or "warning: " in checked.stderr
