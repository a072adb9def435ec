"""A process that enqueues until it is killed or the store is full, and prints what it was promised.

Usage: python -m tests.crash.store_child FILE PREFIX SIZE
"""

import asyncio
import os
import random
import sys
from itertools import count
from pathlib import Path

from relay.events.ports import StoreError
from relay.queue.entry import State
from relay.storage.sqlite.store import SqliteStore
from tests.contract.values import NOW, ROOMY, accepted, settle


def content(queue_id: str, size: int) -> bytes:
    """Bytes that can be recognised whole: they follow from the id."""
    return random.Random(queue_id).randbytes(size)


def run(path: Path, prefix: str, size: int, output: Path) -> None:
    """Enqueue until killed, and write what was promised to a file."""
    with output.open("ab") as said:
        asyncio.run(main(path, prefix, size, said.fileno()))


async def main(path: Path, prefix: str, size: int, output: int) -> None:
    def say(*words: str) -> None:
        # A line is one write, and arrives whole.
        os.write(output, (" ".join(words) + "\n").encode())

    store = await SqliteStore.open(path, now=NOW)
    await store.queue.recover(NOW, 3600.0)
    serial = count()

    async def client() -> None:
        for number in serial:
            queue_id = f"{prefix}{number:06}"
            try:
                await store.queue.enqueue(accepted(queue_id, "x@a.test", "y@b.test", content=content(queue_id, size)))
            except StoreError as error:
                say("full" if error.full else "failed", queue_id)
                return
            say("queued", queue_id)

    async def runner() -> None:
        while True:
            for claimed in await store.queue.claim(NOW, ROOMY):
                if claimed.entries[0].recipient == "x@a.test":
                    await store.queue.apply([settle(claimed, State.DELIVERED, NOW)])
                    say("delivered", claimed.message.queue_id)
            await asyncio.sleep(0.001)

    delivering = asyncio.create_task(runner())
    await asyncio.gather(*(client() for _ in range(8)))
    delivering.cancel()
    await asyncio.gather(delivering, return_exceptions=True)
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), output=1))
