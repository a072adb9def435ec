"""Manual pages and completion: each command has its page, groff has nothing against them, shells take the scripts."""

import re
import shutil
import subprocess

import pytest
from click.testing import CliRunner

from relay.cli import COMMANDS, main
from relay.cli.man_pages import escaped, man_pages

PAGES = dict(man_pages())


def test_each_command_and_the_configuration_have_a_page() -> None:
    assert set(PAGES) == {"relay.1", "relay.toml.5", *(f"relay-{name}.1" for name in COMMANDS)}
    assert r"\-\-recipient" in PAGES["relay-queue.1"]
    assert "For MX hosts:" in PAGES["relay.toml.5"]


def test_text_is_no_request_of_roff() -> None:
    assert escaped(".TH a\\b -c") == r"\&.TH a\eb \-c"


@pytest.mark.skipif(shutil.which("groff") is None, reason="needs groff")
def test_groff_warns_of_nothing() -> None:
    for name, text in PAGES.items():
        checked = subprocess.run(
            ["groff", "-man", "-Kutf8", "-Tutf8", "-ww", "-z"], input=text.encode(), capture_output=True, check=False
        )
        assert (name, checked.stderr.decode()) == (name, "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_script(shell: str) -> None:
    result = CliRunner().invoke(main, ["completion", shell])
    assert result.exit_code == 0
    assert "_RELAY_COMPLETE" in result.output
    if program := shutil.which(shell):
        subprocess.run([program, "-n"], input=result.output.encode(), check=True)


def test_the_script_completes_commands() -> None:
    environment = {"_RELAY_COMPLETE": "bash_complete", "COMP_WORDS": "relay que", "COMP_CWORD": "1"}
    shown = subprocess.run(
        [shutil.which("relay") or ".venv/bin/relay"], env=environment, capture_output=True, text=True, check=False
    )
    assert re.findall(r"plain,(\w+)", shown.stdout) == ["queue"]
