"""A disk that fails under a running relay: I/O errors that pass, and a file system that turns read-only for good.

The disk is a loop device over a sparse file in a small tmpfs. When that is full, the kernel cannot write what the file
system above has promised: fsync and write end in EIO, as on a broken disk or a thin volume that ran out.
"""

import asyncio
import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from relay.delivery.delivery_journal import JOURNAL_FILE
from tests.crash.small_disk import health, recovered, refused_with, send, small_disk
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Say, Sink
from tests.servers.waiting import until


class ThinDisk:
    """An ext4 file system at `folder` whose device can be made to fail; `journal`: it turns read-only then."""

    def __init__(self, pool: Path, folder: Path, *, journal: bool) -> None:
        self._pool = pool
        self._image = pool / "image"
        self._stranger = pool / "stranger"
        self._folder = folder
        with self._image.open("wb") as image:
            image.truncate(500 << 20)
        features = ["-O", "has_journal" if journal else "^has_journal", "-E", "lazy_itable_init=0,lazy_journal_init=0"]
        run("mkfs.ext4", "-q", *features, str(self._image))

    def mount(self) -> None:
        run("mount", "-o", "loop,errors=continue", str(self._image), str(self._folder))

    def unmount(self) -> None:
        run("umount", str(self._folder))

    def repair(self) -> None:
        """Check the file system and mount it again: what an administrator does."""
        self.unmount()
        subprocess.run(["e2fsck", "-p", str(self._image)], capture_output=True, check=False)
        self.mount()

    def fail(self) -> None:
        """From now on nothing new can be written."""
        os.sync()
        with pytest.raises(OSError, match="No space left"):
            self._fill()

    def _fill(self) -> None:
        """Write until there is no room; the image may still grow meanwhile, so nothing is known of it before."""
        with self._stranger.open("wb", buffering=0) as stranger:
            while True:
                stranger.write(bytes(4096))

    def heal(self) -> None:
        self._stranger.unlink()


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no disk that fails can be made here: {' '.join(command[:1])}: {done.stderr.strip()}")


@contextmanager
def thin_disk(folder: Path, *, journal: bool) -> Iterator[ThinDisk]:
    """Mount such a disk as the relay's data folder; skip where that is not possible."""
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("needs mkfs.ext4")
    with small_disk(folder / "pool", size="40m"):
        disk = ThinDisk(folder / "pool", folder / "data", journal=journal)
        (folder / "data").mkdir()
        disk.mount()
        try:
            yield disk
        finally:
            subprocess.run(["umount", "--lazy", str(folder / "data")], check=True)


def is_read_only(folder: Path) -> bool:
    """Tell whether the kernel has given the file system up; its own writing finds that out."""
    try:
        (folder / "probe").touch()
    except OSError as error:
        return error.errno == errno.EROFS
    os.sync()
    return False


async def test_io_errors_are_temporary_and_pass(tmp_path: Path) -> None:
    with thin_disk(tmp_path, journal=False) as disk:
        async with Sink() as sink, RelayProcess(tmp_path, sink.port) as relay:
            taken: list[int] = []
            sink.always("RCPT", Say("450 4.2.1 not now"))
            assert await asyncio.to_thread(send, relay.port, 0) == (250, b"")
            taken.append(0)
            disk.fail()
            await refused_with(relay, taken, (451, b"4.3.0"))
            assert health(relay.tracker_port) == (503, False)
            (trouble,) = relay.log("store.trouble")
            assert "disk I/O error" in trouble["error"]
            assert trouble["full"] is False
            assert relay.process is not None
            assert relay.process.returncode is None
            sink.behave()
            disk.heal()
            await recovered(relay, sink, taken)


async def test_a_file_system_that_turns_read_only_keeps_the_queue(tmp_path: Path) -> None:
    with thin_disk(tmp_path, journal=True) as disk:
        async with Sink() as sink, RelayProcess(tmp_path, sink.port) as relay:
            taken: list[int] = []
            sink.always("RCPT", Say("450 4.2.1 not now"))
            for number in range(3):
                assert await asyncio.to_thread(send, relay.port, number) == (250, b"")
                taken.append(number)
            disk.fail()
            await refused_with(relay, taken, (451, b"4.3.0"))
            await until(lambda: is_read_only(tmp_path / "data"))
            disk.heal()
            assert is_read_only(tmp_path / "data")
            assert health(relay.tracker_port) == (503, False)
            code, text = await asyncio.to_thread(send, relay.port, 99)
            assert (code, text[:5]) == (451, b"4.3.0")
            assert len(relay.log("store.trouble")) == 1
            await relay.kill()
            sink.behave()
            disk.repair()
            await relay.start()
            await until(lambda: len(sink.messages) >= len(taken))
            await until(lambda: health(relay.tracker_port) == (200, True))
            got = sorted(one for mail in sink.messages for one in mail.recipients)
            assert got == sorted(f"u{number}@rcpt.test" for number in taken)
            await relay.kill()


async def test_what_cannot_be_noted_is_delivered_all_the_same(tmp_path: Path) -> None:
    """The delivery journal is a help, not a condition."""
    (tmp_path / "data" / JOURNAL_FILE).mkdir(parents=True)
    async with Sink() as sink, RelayProcess(tmp_path, sink.port) as relay:
        assert await asyncio.to_thread(send, relay.port, 0) == (250, b"")
        await sink.received(1)
        assert len(relay.log("queue.journal_failing")) == 1
