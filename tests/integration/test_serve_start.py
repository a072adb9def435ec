"""Starting: folders are made, and what is in the way is said in a word."""

from pathlib import Path

import pytest

from tests.servers.relay_process import RelayProcess


async def test_data_folder_and_log_are_made_on_the_first_start(tmp_path: Path) -> None:
    relay = RelayProcess(tmp_path, 9, '[log]\nfile = "relay.log"')
    await relay.start()
    try:
        assert "server.started" in (tmp_path / "data" / "relay.log").read_text()
        assert (tmp_path / "data").stat().st_mode & 0o077 == 0
        assert (tmp_path / "data" / "tracker.key").stat().st_mode & 0o077 == 0
        assert (tmp_path / "data" / "admin.sock").stat().st_mode & 0o077 == 0
    finally:
        assert await relay.stop() == 0


async def test_a_port_in_use_is_a_clear_error(tmp_path: Path) -> None:
    async with RelayProcess(tmp_path, 9) as relay:
        other = tmp_path / "other"
        other.mkdir()
        twin = RelayProcess(other, 9)
        twin.config.write_text(twin.config.read_text().replace(f":{twin.port}", f":{relay.port}"))
        with pytest.raises(AssertionError, match=r"ended with 78:[\s\S]*another process listens on"):
            await twin.start()
