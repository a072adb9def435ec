"""Output of commands anywhere: full disks, closed streams, readers that end, every locale; never a traceback."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from relay.cli import main
from relay.cli.output import report_unexpected
from tests.ports import free_port

NAME = "Jörg ✓ 本"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "relay.toml"
    text = (
        f'[server]\ndata_dir = "data"\nhostname = "relay.test"\n[identities."a@acme.test"]\ndisplay_name = "{NAME}"\n'
        f'[tracker]\naddress = "127.0.0.1:{free_port()}"\n'
        f'[[listener]]\nname = "submission"\naddress = "127.0.0.1:{free_port()}"\n'
    )
    file.write_text(text, encoding="utf-8")
    return file


def run(shell: str, config: Path, **environment: str) -> tuple[int, bytes, str]:
    """Run a line of bash in which `relay` is the command; return exit code, output and errors."""
    arguments = ["bash", "-c", f'relay() {{ "{sys.executable}" -m relay.cli "$@"; }}; {shell}']
    done = subprocess.run(
        arguments, capture_output=True, check=False, env={**os.environ, "RELAY_CONFIG": str(config), **environment}
    )
    error = done.stderr.decode("utf-8", "replace")
    assert "Traceback" not in error
    assert "Exception ignored" not in error
    return done.returncode, done.stdout, error


@pytest.mark.parametrize(
    ("shell", "code", "error"),
    [
        ("relay config show >/dev/full", 74, "relay: standard output: No space left on device\n"),
        ("relay config --help >/dev/full", 74, "relay: standard output: No space left on device\n"),
        ("relay share files >/dev/full", 74, "relay: standard output: No space left on device\n"),
        ("relay preview mail.eml >/dev/full", 74, "relay: standard output: No space left on device\n"),
        ("relay credential new app >&-", 74, "relay: standard output: it is closed\n"),
        ("relay config check <&- >&- 2>&-", 74, ""),
        ("relay config check -c none.toml 2>/dev/full", 78, ""),
        ("relay nonsense 2>&-", 64, ""),
        ("relay classify <&-", 0, ""),
        ("relay config show | true; exit ${PIPESTATUS[0]}", 141, ""),
    ],
)
def test_outputs_that_cannot_be_written(
    config: Path, shell: str, code: int, error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(config.parent)
    (config.parent / "mail.eml").write_bytes(b"From: a@acme.test\r\n\r\nHello\r\n")
    found = run(shell, config, RELAY_CONFIG="" if "preview" in shell else str(config))
    assert found[0] == code
    assert found[2].endswith(error)


@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {"PYTHONIOENCODING": "latin-1"},
        {"PYTHONIOENCODING": "ascii:strict"},
    ],
)
def test_every_locale_shows_every_character(config: Path, environment: dict[str, str]) -> None:
    code, output, error = run("relay config show", config, **environment)
    assert tomllib.loads(output.decode("utf-8"))["identities"]["a@acme.test"]["display_name"] == NAME
    assert "no relay answers" in error
    assert code == 0


def test_a_name_in_another_encoding_is_shown_escaped(config: Path) -> None:
    code, _, error = run(r"relay config check -c $'n\xff.toml'", config)
    assert (code, error) == (78, "n\\udcff.toml: cannot be read: No such file or directory\n")


def test_an_unexpected_error_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError) as raised:
        dict[str, str]()["two\nlines"]
    with pytest.raises(SystemExit) as ended:
        report_unexpected(KeyError, raised.value, raised.tb)
    assert ended.value.code == 70
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("relay: unexpected error in ")
    assert "KeyError: 'two\\nlines'" in line


def test_within_another_program_its_streams_stay(config: Path) -> None:
    hook, stdout, stderr = sys.excepthook, sys.stdout, sys.stderr
    assert CliRunner().invoke(main, ["config", "check", "-c", str(config)]).exit_code == 0
    assert (sys.excepthook, sys.stdout, sys.stderr) == (hook, stdout, stderr)
