"""README.md: its configuration is right, and it lists the commands there are."""

import re
from pathlib import Path

import pytest

from relay.cli import COMMANDS
from relay.config import check
from relay.config.secrets import hash_secret

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_the_configuration_it_shows_is_right(number: int, tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    file.write_text(EXAMPLES[number].replace("blake2b:…", hash_secret("s", bytes(16))), encoding="utf-8")
    file.chmod(0o600)
    settings, faults, _ = check(file, {})
    assert [str(fault) for fault in faults] == []
    assert settings is not None


def test_it_lists_the_commands_there_are() -> None:
    listed = set(re.findall(r"^\| `relay ([\w-]+)", README, re.MULTILINE))
    assert listed == set(COMMANDS)


def test_the_files_it_points_to_are_there() -> None:
    for target in re.findall(r"\]\(([\w./-]+)\)", README):
        assert (ROOT / target).exists(), target
    assert "conf/relay.service" in README
    assert (ROOT / "conf" / "relay.service").exists()


def test_examples_are_found() -> None:
    assert len(EXAMPLES) == 5
