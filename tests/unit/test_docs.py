"""README.md and docs/: configuration loads, links have targets, commands and options exist, all commands are listed."""

import json
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import click
import pytest
import trustme

from relay.cli import COMMANDS, main
from relay.config import check
from relay.config.schema import fields_of, table_at
from relay.config.secret_hash import hash_secret
from relay.config.settings import Settings
from relay.log.lines import LINES
from relay.metrics import Metrics
from tests.documentation import PAGES, ROOT, Block, blocks_of, commands_in_prose, shows, steps_of, text_of

LANGUAGES = {"sh", "console", "python", "toml", "json", "text"}
"""Languages of blocks. `text` is for diagrams and prose that nothing runs."""

BLOCKS = [pytest.param(page, block, id=f"{page}:{block.line}") for page in PAGES for block in blocks_of(text_of(page))]

COMMAND = re.compile(r"(?:^|[;|&(]\s*|\bdo )relay((?: [^\n;|&)#]+)?)", re.MULTILINE)

README_LINES = 150
TEST_FOLDERS = {"unit", "integration", "contract", "crash", "property"}
FOLDERS = (ROOT, ROOT / "tests", ROOT / "relay")
"""Folders that paths in prose start at."""


def resolve(arguments: list[str]) -> None:
    """Raise click.UsageError when there is no such command or option; arguments may be missing."""
    command: click.Command = main
    context = click.Context(main)
    words = list(arguments)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name = words.pop(0)
        found = command.get_command(context, name)
        if found is None:
            raise click.UsageError(f"no command {name!r} in {' '.join(arguments)!r}")
        command = found
    known = {
        option for parameter in command.get_params(context) for option in parameter.opts + parameter.secondary_opts
    }
    for word in words:
        option = word.partition("=")[0]
        if re.match(r"--?[a-z]", option) and option not in known:
            raise click.UsageError(f"no option {option!r} of {' '.join(arguments)!r}")


@pytest.mark.parametrize(("page", "block"), BLOCKS)
def test_a_block_is_what_its_language_says(page: str, block: Block, tmp_path: Path) -> None:
    match block.language:
        case "toml":
            assert faults_of(page, block.text, tmp_path) == []
        case "json":
            for line in block.text.splitlines():
                json.loads(line)
        case "python":
            compile(block.text, page, "exec")
        case "sh":
            check_shell(block.text)
        case "console":
            for step in steps_of(block.text):
                check_shell(step.command)
    assert block.language in LANGUAGES
    assert block.markers.get("not run", "a reason") != ""


def faults_of(page: str, configuration: str, folder: Path) -> list[str]:
    """What is wrong with the configuration, beside the files of its page."""
    for block in blocks_of(text_of(page)):
        if name := block.markers.get("file"):
            (folder / name).write_text(block.text, encoding="utf-8")
            (folder / name).chmod(0o600)
    for name in re.findall(r'^certificate = "([^"]+)"', configuration, re.MULTILINE):
        trustme.CA().issue_cert("mail.test").private_key_and_cert_chain_pem.write_to_path(str(folder / name))
    file = folder / "relay.toml"
    file.write_text(configuration.replace("blake2b:…", hash_secret("s", bytes(16))), encoding="utf-8")
    file.chmod(0o600)
    _, faults, _ = check(file, {})
    return [str(fault) for fault in faults]


def check_shell(script: str) -> None:
    read = subprocess.run(["bash", "-n", "-c", script], capture_output=True, text=True, check=False)
    assert (read.returncode, read.stderr) == (0, "")
    for arguments in COMMAND.findall(script):
        resolve(shlex.split(arguments))


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_prose_exist(page: str) -> None:
    for command in commands_in_prose(text_of(page)):
        resolve(command.removeprefix("relay ").split())


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_and_headings(page: str) -> None:
    for target in re.findall(r"\]\(((?!https?:)[^)]+)\)", text_of(page)):
        name, _, anchor = target.partition("#")
        file = (ROOT / page).parent / name if name else ROOT / page
        assert file.exists(), target
        if anchor:
            assert anchor in anchors_of(file.read_text(encoding="utf-8")), target


def anchors_of(text: str) -> set[str]:
    """The anchors GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_files_and_tests_in_prose_exist(page: str) -> None:
    for path, _, function in re.findall(r"`([\w./-]+/[\w.-]*)(::(\w+))?`", text_of(page)):
        folder = next((folder for folder in FOLDERS if (folder / path).exists()), None)
        if path.split("/")[0] in {"relay", *TEST_FOLDERS, "tests", "conf", "docs", "bench"}:
            assert folder is not None, path
            assert not function or f"def {function}(" in (folder / path).read_text(encoding="utf-8"), function


@pytest.mark.parametrize("page", PAGES)
def test_configuration_keys_in_prose_exist(page: str) -> None:
    sections = {name: set(fields_of(table)) for name in fields_of(Settings) if (table := table_at((name,)))}
    for section, key in re.findall(r"`(\w+)\.(\w+)(?: = [^`]*)?`", text_of(page)):
        if section in sections and f"{section}.{key}" not in LINES and key not in {"py", "key", "sock"}:
            assert key in sections[section] or key.removesuffix("_file") in sections[section], f"{section}.{key}"


def test_the_flow_names_functions_that_exist() -> None:
    places = re.findall(r"`(relay/[\w/]+\.py)`: ((?:`[\w.]+`(?:, )?)+)", text_of("docs/flow.md"))
    assert len(places) > 50
    for path, names in places:
        source = (ROOT / path).read_text(encoding="utf-8")
        for name in re.findall(r"`([\w.]+)`", names):
            for part in name.split("."):
                assert re.search(rf"^ *(class|(async )?def) {part}\b", source, re.MULTILINE), f"{path}: {name}"


def test_the_architecture_shows_the_layers_that_are_checked() -> None:
    contracts = tomllib.loads(text_of("pyproject.toml"))["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    assert "\n".join(layers) in text_of("docs/architecture.md")


def test_all_commands_are_listed() -> None:
    listed = set(re.findall(r"^\| `relay ([\w-]+)", text_of("docs/commands.md"), re.MULTILINE))
    assert listed == set(COMMANDS)


def test_all_metrics_are_listed() -> None:
    listed = set(re.findall(r"^\| `(relay_\w+)", text_of("docs/operations.md"), re.MULTILINE))
    names = re.findall(r"^# TYPE (relay_\w+)", Metrics().exposition().decode(), re.MULTILINE)
    assert listed == {name for name in names if not name.endswith("_created")}


def test_every_page_is_in_the_index() -> None:
    index = text_of("docs/README.md")
    pages = {Path(page).name for page in PAGES if page.startswith("docs/")} - {"README.md"}
    assert pages == set(re.findall(r"\]\(([\w-]+\.md)\)", index)) & pages


def test_the_front_page_is_short() -> None:
    assert len(text_of("README.md").splitlines()) <= README_LINES


@pytest.mark.parametrize("command", ["queue lst", "queue list --recipients a@x.test", "report --since 3d"])
def test_a_wrong_command_or_option_is_found(command: str) -> None:
    with pytest.raises(click.UsageError):
        resolve(command.split())


@pytest.mark.parametrize(
    ("shown", "written", "same"),
    [
        ("queued as 06FJ3K9Q2M0A7C", "queued as 06FJ3K9Q2M0A7D", True),
        ("2026-11-25 09:00:00 delivered", "2027-01-01 10:00:00 delivered", True),
        ("a\n…\nz", "a\nb\nc\nz", True),
        ("a … z", "a b z", True),
        ("delivered", "deferred", False),
        ("a", "a\nb", False),
        ("a\n…", "b", False),
    ],
)
def test_shown_output_is_compared(shown: str, written: str, same: bool) -> None:
    assert shows(shown, written) is same


def test_an_unknown_marker_is_an_error() -> None:
    with pytest.raises(ValueError, match="marker"):
        blocks_of("<!-- skip: it fails -->\n```sh\nfalse\n```\n")
