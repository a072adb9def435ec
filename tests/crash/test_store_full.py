"""A file that may not grow any more: new mail is refused as full, accepted mail is settled, and then there is room."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from relay.events.ports import StoreError
from relay.queue.entry import State
from relay.storage.sqlite.store import SqliteStore
from tests.contract.values import NOW, ROOMY, accepted, settle
from tests.crash.store_child import content
from tests.crash.test_store_kill import SIZE
from tests.documentation import ROOT
from tests.servers.audit import assert_balanced

LIMIT = 16 << 20


def limit_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, resource.RLIM_INFINITY))


async def test_full_is_said_and_passes(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    command = [sys.executable, "-m", "tests.crash.store_child", str(path), "F", str(SIZE)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, preexec_fn=limit_files, timeout=60)
    assert ended.returncode == 0, ended.stderr
    said = [line.split() for line in ended.stdout.splitlines()]
    assert {word for word, _ in said} == {"queued", "delivered", "full"}
    assert sum(word == "full" for word, _ in said) == 8
    queued = {queue_id for word, queue_id in said if word == "queued"}

    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, hard))
    try:
        store = await SqliteStore.open(path, now=NOW)
        for refusing in (store.queue.enqueue(accepted("ROOMLESS", content=bytes(SIZE))), store.check()):
            with pytest.raises(StoreError, match="too little space") as refused:
                await refusing
            assert refused.value.full
        await store.queue.recover(NOW, 3600.0)
        settled: set[str] = set()
        while claimed := await store.queue.claim(NOW, ROOMY):
            assert all(one.content == content(one.message.queue_id, SIZE) for one in claimed)
            await store.queue.apply([settle(one, State.DELIVERED, NOW) for one in claimed])
            settled |= {one.message.queue_id for one in claimed}
        assert settled == queued
        assert await store.queue.depth() == {}
        await assert_balanced(store.audits)
        await store.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    store = await SqliteStore.open(path, now=NOW)
    await store.check()
    await store.queue.enqueue(accepted("ROOM"))
    await store.close()
