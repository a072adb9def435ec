"""A reload while the store fails."""

from pathlib import Path

import pytest

from relay.events.ports import StoreError
from tests.servers.relay_app import running
from tests.servers.relay_process import RelayProcess


async def test_a_reload_while_the_store_fails_puts_the_settings_in_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(lengths: object) -> None:
        raise StoreError("the disk is full")

    relay = RelayProcess(tmp_path, 1, "")
    async with running(relay) as up:
        monkeypatch.setattr(up.app.store.suppressions, "limit", failing)
        relay.config.write_text(relay.config.read_text() + "\n[bounces]\nthreshold = 7\n")
        assert (await up.app.reload())["changed"] == ("bounces",)
        assert up.app.settings().bounces.threshold == 7
        assert [line["error"] for line in up.lines("store.trouble")] == ["the disk is full"]
        assert len(up.lines("config.reloaded")) == 1
