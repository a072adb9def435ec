"""Nodes on one PostgreSQL within the test's own process, and the waiting for what they bring about."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg

from relay.queue.claim_limits import ClaimLimits
from relay.queue.message import ClaimedBatch
from relay.storage.postgres.store import PostgresStore
from tests.contract.values import NOW

ONE = ClaimLimits(entries=1, content_bytes=1 << 20, per_lane=1, lanes={})


class Cluster:
    """Nodes with data directories of their own; what they log is kept."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder
        self.stores: list[PostgresStore] = []
        self.logged: list[tuple[str, str, dict[str, Any]]] = []

    async def node(self, name: str, on_work: Callable[[], None] = lambda: None) -> PostgresStore:
        data_dir = self.folder / name
        data_dir.mkdir(exist_ok=True)

        def log(line: str, **fields: Any) -> None:
            self.logged.append((name, line, fields))

        store = await PostgresStore.open(self.url, data_dir, now=NOW, log=log, on_work=on_work)
        self.stores.append(store)
        return store

    def sql(self, sql: str, *values: Any) -> list[Any]:
        with psycopg.connect(self.url, autocommit=True) as raw:
            cursor = raw.execute(sql, values)
            return cursor.fetchall() if cursor.description else []

    async def die(self, store: PostgresStore, ago: float = 600) -> None:
        """Let the node's heart stop, that many seconds ago: nothing else of it ends."""
        await store._heartbeat.stop()
        self.sql("UPDATE nodes SET heartbeat_at = heartbeat_at - %s WHERE node = %s", ago, store.nodes.id)

    def lines(self, name: str, line: str) -> list[dict[str, Any]]:
        return [fields for who, what, fields in self.logged if (who, what) == (name, line)]


def keys(claims: Sequence[ClaimedBatch]) -> list[tuple[str, int]]:
    return [(entry.queue_id, entry.number) for claimed in claims for entry in claimed.entries]
