"""`relay audit`: sums by day and identity, every leak, the exit codes."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from relay.cli import main
from relay.reports import store_audit
from relay.storage.sqlite.store import SqliteStore
from tests.contract.values import NOW, accepted


def prepared(folder: Path, *messages: str) -> Path:
    """Make a store with these messages, of two recipients each; return the configuration."""
    config = folder / "relay.toml"
    config.write_text(f'[server]\nhostname = "relay.test"\ndata_dir = "{folder}"\n', encoding="utf-8")

    async def fill() -> None:
        store = await SqliteStore.open(folder / "relay.db", now=NOW)
        for queue_id in messages:
            await store.queue.enqueue(accepted(queue_id, "a@x.test", "b@x.test"))
        await store.close()

    asyncio.run(fill())
    return config


def run(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["audit", "-c", str(config), *arguments])


def test_a_store_that_balances(tmp_path: Path) -> None:
    result = run(prepared(tmp_path, "A", "B"))
    assert result.exit_code == 0, result.output
    assert "2027-01-15" in result.output
    assert "4 accepted = 4 waiting + 0 held + 0 active + 0 delivered + 0 bounced + 0 dropped" in result.output
    assert result.output.endswith("no leaks\n")


def test_an_empty_store_passes_the_audit(tmp_path: Path) -> None:
    assert run(prepared(tmp_path)).exit_code == 0


def test_a_leak_is_listed_and_the_exit_code_is_1(tmp_path: Path) -> None:
    config = prepared(tmp_path, "A", "B")
    with closing(sqlite3.connect(tmp_path / "relay.db")) as raw:
        raw.execute("DELETE FROM entries WHERE queue_id = 'B' AND number = 1")
        raw.commit()
    result = run(config)
    assert result.exit_code == 1
    assert "leak: 2027-01-15 B/1: has events (created), and no entry" in result.output
    assert "4 accepted ≠ 3 waiting" in result.output

    result = run(config, "--json")
    assert result.exit_code == 1
    row, leak = map(json.loads, result.output.splitlines())
    assert (row["accepted"], row["waiting"], row["difference"]) == (4, 3, 1)
    assert leak == {
        "leak": "has events (created), and no entry",
        "queue_id": "B",
        "number": 1,
        "day": "2027-01-15",
        "identity": "",
    }


def test_leaks_beyond_the_most_that_are_named_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_audit, "MAX_LEAKS", 2)
    config = prepared(tmp_path, "A", "B")
    with closing(sqlite3.connect(tmp_path / "relay.db")) as raw:
        raw.execute("DELETE FROM entries")
        raw.commit()
    result = run(config)
    assert result.exit_code == 1
    assert result.output.count("leak: ") == 2
    assert result.output.splitlines()[-3:] == [
        "and 4 more leaks",
        "4 accepted ≠ 0 waiting + 0 held + 0 active + 0 delivered + 0 bounced + 0 dropped",
        "6 leaks",
    ]
    assert json.loads(run(config, "--json").output.splitlines()[-1]) == {"more_leaks": 4}


def test_a_store_that_cannot_be_read_is_no_success(tmp_path: Path) -> None:
    config = prepared(tmp_path)
    (tmp_path / "relay.db").write_bytes(b"not a database at all" * 100)
    result = run(config)
    assert result.exit_code == 69
    assert "does not begin like a database" in result.output
