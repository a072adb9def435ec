"""`relay tracker block`, `unblock` and `list`, over the admin API of a running server."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from relay.cli.tracker import tracker
from relay.rewrite.tokens import Kind, Token, sign_token
from tests.unit.admin_harness import FIRST, KEYRING, NOW, AdminHarness, admin

__all__ = ["admin"]

LINK = Token(Kind.CLICK, FIRST, 1, "https://www.evil.test/a?b=1")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "relay.toml"
    path.write_text(f'[server]\nhostname = "relay.test"\ndata_dir = "{tmp_path}"\n')
    return path


async def run(config: Path, *arguments: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, tracker, [*arguments, "-c", str(config)])


async def rows(config: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (await run(config, "list", "--json")).stdout.splitlines()]


async def test_links_are_blocked_listed_and_unblocked(admin: AdminHarness, config: Path) -> None:
    token = sign_token(KEYRING, LINK)
    done = await run(config, "block", "Evil.Test.", "https://shop.test:443/x", token, "--note", "phishing")
    assert (done.exit_code, len(done.stdout.splitlines())) == (0, 4)
    assert admin.store.link_blocks.blocks.find(LINK) is not None
    assert sorted((row["kind"], row["value"], row["note"]) for row in await rows(config)) == [
        ("host", "evil.test", "phishing"),
        ("token", f"{FIRST}/1 https://www.evil.test/a?b=1", "phishing"),
        ("url", "shop.test/x", "phishing"),
    ]
    assert {row["created_at"] for row in await rows(config)} == {"2023-11-14T22:13:30.000Z"}
    assert NOW + 10 == 1_700_000_010

    plain = (await run(config, "list", "--plain")).stdout.splitlines()
    assert (await run(config, "unblock", *plain)).exit_code == 0
    assert await rows(config) == []
    assert admin.store.link_blocks.blocks.find(LINK) is None
    assert [line for line, _ in admin.lines] == ["links.blocked"] * 3 + ["links.unblocked"] * 3


async def test_a_fault_names_what_is_wrong_and_nothing_is_blocked(admin: AdminHarness, config: Path) -> None:
    done = await run(config, "block", "evil.test", "com", "not a host")
    assert done.exit_code == 1
    assert '"com" is a whole domain of registrations' in done.stderr
    assert '"not a host" is neither a link, nor a URL, nor a host' in done.stderr
    assert await rows(config) == []

    for note in ("x" * 501, "two\nlines"):
        assert "note must be a text" in (await run(config, "block", "evil.test", "--note", note)).stderr
    assert "too many" in (await run(config, "block", *(f"h{number}.test" for number in range(101)))).stderr
    assert (await run(config, "block")).exit_code == 64
    assert admin.lines == []


async def test_an_end_of_nothing_exits_with_1(admin: AdminHarness, config: Path) -> None:
    done = await run(config, "unblock", "evil.test")
    assert (done.exit_code, done.stdout) == (1, "nothing\n")


def test_the_configuration_belongs_behind_the_command(config: Path) -> None:
    done = CliRunner().invoke(tracker, ["-c", str(config), "list"])
    assert done.exit_code == 64
    assert "relay tracker list -c FILE" in done.stderr
