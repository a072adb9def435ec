"""kill -9 at any moment: what the store promised is there, whole, and what was settled stays settled."""

import asyncio
import random
import time
from multiprocessing import get_context
from pathlib import Path

import pytest

from relay.queue.entry import State
from relay.queue.ports import EntryQuery
from relay.reports.ports import MessageQuery
from relay.storage.sqlite.store import SqliteStore
from tests.contract.values import NOW, ROOMY
from tests.crash import store_child
from tests.crash.store_child import content
from tests.servers.audit import assert_balanced
from tests.servers.waiting import PATIENCE

SIZE = 20_000


CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.crash.store_child"])


def run_and_kill(path: Path, prefix: str, moments: random.Random) -> list[list[str]]:
    """Start a child, kill it a while after its first message, return what it said."""
    said = path.with_name(prefix)
    said.touch()
    child = CONTEXT.Process(target=store_child.run, args=(path, prefix, SIZE, said))
    child.start()
    deadline = time.monotonic() + PATIENCE
    while not said.stat().st_size:
        assert child.is_alive(), f"ended with {child.exitcode}"
        assert time.monotonic() < deadline
        time.sleep(0.005)

    time.sleep(moments.uniform(0.0, 0.25))
    child.kill()
    child.join()
    return [line.split() for line in said.read_text().splitlines()]


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
