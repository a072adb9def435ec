"""The suppression list by its commands: edited, exported, imported, replayed."""

import csv
import io
import json
from pathlib import Path

import pytest

from tests.integration.bounce_relay import Relay
from tests.servers.sink import Sink


async def _lift_what_counts_no_more(relay: Relay, file: Path) -> None:
    """Give the list a row that a former version made of a reply about the sender, and replay it."""
    row = {"address": "z@x.test", "reason": "blocked", "reply": "554 blocked", "provenance": "session"}
    file.write_text(json.dumps(row))
    await relay.run("suppression", "import", str(file))
    for options in ((), ("--lift",)):
        (lifted,) = await relay.json("suppression", "replay", *options)
        assert (lifted["address"], lifted["step"]) == ("z@x.test", "lift")
        assert "do not suppress" in lifted["why"]
    assert not await relay.json("suppression", "replay")
    assert not await relay.json("suppression", "list", "--unproven")


async def test_the_suppression_list_is_edited_exported_and_imported(tmp_path: Path) -> None:
    async with Sink() as sink, Relay(tmp_path, sink.port) as relay:
        await relay.json("suppression", "add", "A@x.test", "b@x.test", "--note", "asked by phone", "--expires", "30d")
        await relay.json("suppression", "add", "c@x.test", "--domain", "acme.test")
        listed = await relay.json("suppression", "list")
        assert [(one["address"], one["domain"], one["reason"]) for one in listed] == [
            ("a@x.test", "", "manual"),
            ("b@x.test", "", "manual"),
            ("c@x.test", "acme.test", "manual"),
        ]
        assert listed[0]["expires_at"]
        table = await relay.run("suppression", "export")
        lines = await relay.run("suppression", "export", "--json")
        assert [row["address"] for row in csv.DictReader(io.StringIO(table))] == ["a@x.test", "b@x.test", "c@x.test"]
        for name, text in (("list.csv", table), ("list.jsonl", lines)):
            await relay.run("suppression", "remove", "a@x.test", "b@x.test")
            await relay.run("suppression", "remove", "c@x.test", "--domain", "acme.test")
            assert not await relay.json("suppression", "list")
            (tmp_path / name).write_text(text)
            (answer,) = await relay.json("suppression", "import", str(tmp_path / name))
            assert (answer["imported"], answer["faults"]) == (3, 0)
            assert await relay.json("suppression", "list") == listed
        await _lift_what_counts_no_more(relay, tmp_path / "old.jsonl")
        assert await relay.json("suppression", "list") == listed
        (tmp_path / "bad.csv").write_text("address\nno-address\n")
        with pytest.raises(AssertionError, match="no @ in the address"):
            await relay.run("suppression", "import", str(tmp_path / "bad.csv"))
        with pytest.raises(AssertionError, match="ended with 1"):
            await relay.run("suppression", "remove", "nobody@x.test")
