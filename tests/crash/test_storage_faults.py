"""A disk that is full, a database somebody locks: temporary replies, nothing lost, and over when the fault is over."""

import asyncio
import os
import resource
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.crash.small_disk import health, recovered, refused_with, send, small_disk
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink
from tests.servers.waiting import until

UNLIMITED = resource.RLIM_INFINITY


def limit_files(relay: RelayProcess, octets: int) -> None:
    """Let no file of the running relay grow beyond that size: what a quota does."""
    assert relay.process is not None
    _, hard = resource.prlimit(relay.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(relay.process.pid, resource.RLIMIT_FSIZE, (octets, hard))


@pytest.mark.parametrize("room", [2_000_000, -60_000])
async def test_a_file_size_limit_is_a_full_disk_until_it_is_lifted(tmp_path: Path, room: int) -> None:
    """Also where the files are larger already. Its health is bad from the first refusal on, without a break."""
    async with Sink() as sink, RelayProcess(tmp_path, sink.port) as relay:
        taken: list[int] = []
        limit_files(relay, room + max(file.stat().st_size for file in (tmp_path / "data").glob("relay.db*")))
        for _ in range(5):
            await refused_with(relay, taken, (452, b"4.3.1"))
            assert health(relay.tracker_port) == (503, False)
        assert relay.log("store.trouble")[0]["full"] is True
        limit_files(relay, UNLIMITED)
        await recovered(relay, sink, taken)


async def test_a_disk_that_others_fill(tmp_path: Path) -> None:
    with small_disk(tmp_path / "data"):
        async with Sink() as sink, RelayProcess(tmp_path, sink.port) as relay:
            taken: list[int] = []
            code, text = await asyncio.to_thread(send, relay.port, 0)
            assert code == 250, text
            taken.append(0)
            disk = os.statvfs(tmp_path / "data")
            stranger = tmp_path / "data" / "stranger"
            stranger.write_bytes(bytes(disk.f_bavail * disk.f_frsize - 100_000))
            await refused_with(relay, taken, (452, b"4.3.1"))
            assert health(relay.tracker_port) == (503, False)
            stranger.unlink()
            await recovered(relay, sink, taken)


async def test_a_read_only_disk_is_no_place_to_start(tmp_path: Path) -> None:
    with small_disk(tmp_path / "data", "ro"):
        relay = RelayProcess(tmp_path, 1)
        with pytest.raises(AssertionError, match=r"ended with 69:(?s:.*)[Rr]ead-only"):
            await relay.start()


async def test_a_database_somebody_locks(tmp_path: Path) -> None:
    async with Sink() as sink, RelayProcess(tmp_path, sink.port) as relay:
        assert await asyncio.to_thread(send, relay.port, 0) == (250, b"")
        await until(lambda: len(sink.messages) == 1)
        with closing(sqlite3.connect(tmp_path / "data" / "relay.db", isolation_level=None)) as stranger:
            stranger.execute("BEGIN IMMEDIATE")
            code, text = await asyncio.to_thread(send, relay.port, 1)
            assert (code, text[:5]) == (451, b"4.3.0")
            assert b"locked" not in text
            assert health(relay.tracker_port) == (503, False)
            stranger.execute("ROLLBACK")
        await recovered(relay, sink, [0])
