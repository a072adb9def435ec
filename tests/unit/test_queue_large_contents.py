"""Contents that were left in the store: read into files when the message is sent."""

import errno
import os
from pathlib import Path

import pytest

from relay.content_file import LARGE
from relay.queue import context as context_module
from relay.queue import large_contents
from relay.queue.entry import State
from relay.storage.integrity import CHANGED
from tests.unit.queue_harness import Harness, running

LARGE_CONTENT = b"From: app@acme.test\r\nSubject: large\r\n\r\n" + b"x" * 70 + b"\r\n" + b"y\r\n" * LARGE


async def are_given(harness: Harness, jobs: int) -> bool:
    return len(harness.delivery.jobs) == jobs


async def is_in(harness: Harness, state: State) -> bool:
    return all(one.state is state for one in await harness.entries())


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context_module, "STORE_RETRY", 0.01)


async def test_a_large_content_is_sent_from_a_file_that_the_lanes_share(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        harness.delivery.gate.clear()
        await harness.enqueue("a@x.test", "b@y.test", content=LARGE_CONTENT)
        await harness.until(lambda: are_given(harness, 2))
        assert len(set(harness.delivery.files)) == 1
        harness.delivery.gate.set()
        entries = await harness.until_settled()
        assert {one.state for one in entries} == {State.DELIVERED}
        assert {content for _, _, content in harness.delivery.jobs} == {LARGE_CONTENT}
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(harness.delivery.files[0])


async def test_a_large_content_that_is_damaged_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def damaged(*_: object) -> str:
        return CHANGED

    async with running(tmp_path) as harness:
        monkeypatch.setattr(harness.flaky_store, "copy_content", damaged)
        await harness.enqueue("a@x.test", content=LARGE_CONTENT)
        await harness.until(lambda: is_in(harness, State.HELD))
        assert [one.reason for one in await harness.entries()] == [CHANGED]
        assert not harness.delivery.jobs


async def test_a_store_that_is_away_delays_a_large_content(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        harness.flaky_store.failures["copy_content"] = 2
        await harness.enqueue("a@x.test", content=LARGE_CONTENT)
        entries = await harness.until_settled()
        assert {one.state for one in entries} == {State.DELIVERED}
        assert harness.store_errors == ["copy_content: disk I/O error"] * 2


async def test_a_content_that_cannot_be_copied_to_a_file_is_deferred(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(large_contents, "ContentWriter", full)
    async with running(tmp_path) as harness:
        await harness.enqueue("a@x.test", content=LARGE_CONTENT)
        (entry,) = await harness.until_settled()
        assert entry.state is State.WAITING
        assert "could not be copied to a file: No space left" in str(entry.last_reply)
        assert harness.raised == []
