"""kill -9 at any moment: what the store promised is there, whole, and what was settled stays settled."""

import asyncio
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from relay.queue.entry import State
from relay.queue.ports import EntryQuery
from relay.reports.ports import MessageQuery
from relay.storage.sqlite.store import SqliteStore
from tests.contract.values import NOW, ROOMY
from tests.crash.store_child import content
from tests.servers.audit import assert_balanced

ROOT = Path(__file__).resolve().parents[2]

SIZE = 20_000


def run_and_kill(path: Path, prefix: str, moments: random.Random) -> list[list[str]]:
    """Start a child, kill it a while after its first message, return what it said."""
    command = [sys.executable, "-m", "tests.crash.store_child", str(path), prefix, str(SIZE)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        first = child.stdout.readline()
        time.sleep(moments.uniform(0.0, 0.25))
        child.send_signal(signal.SIGKILL)
        said, complaint = child.communicate(timeout=30)
    assert first, complaint
    return [line.split() for line in (first + said).splitlines()]


@pytest.mark.parametrize("seed", range(3))
async def test_nothing_promised_is_lost(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "relay.db"
    moments = random.Random(seed)
    promised: set[str] = set()
    delivered: set[str] = set()
    for life in range(4):
        for word, queue_id in await asyncio.to_thread(run_and_kill, path, f"S{seed}L{life}", moments):
            {"queued": promised, "delivered": delivered}[word].add(queue_id)
    assert promised
    assert delivered

    store = await SqliteStore.open(path, now=NOW)
    assert await store.database.write(lambda raw: raw.execute("PRAGMA integrity_check").fetchall()) == [("ok",)]
    stories = {story.message.queue_id: story for story in await store.reports.stories(MessageQuery(limit=10**6))}
    assert promised <= stories.keys()
    for queue_id, story in stories.items():
        assert [entry.recipient for entry in story.entries] == ["x@a.test", "y@b.test"]
        assert [event.number for event in story.events if event.kind == "created"] == [0, 1]
        assert await store.queue.content(queue_id) == content(queue_id, SIZE)
        if queue_id in delivered:
            assert story.entries[0].state is State.DELIVERED

    await assert_balanced(store.audits)
    await store.queue.recover(NOW, 3600.0)
    claimed = await store.queue.claim(NOW, ROOMY)
    handed_out = [(entry.queue_id, entry.number) for one in claimed for entry in one.entries]
    entries = await store.queue.entries(EntryQuery(limit=10**6))
    open_entries = [(entry.queue_id, entry.number) for _, entry in entries if entry.state is State.ACTIVE]
    assert sorted(handed_out) == open_entries
    assert {(queue_id, 1) for queue_id in stories} <= set(handed_out)
    assert not {(queue_id, 0) for queue_id in delivered} & set(handed_out)
    await store.close()
