"""Two nodes on PostgreSQL: one posts for both, the other takes over, and a long transaction hides nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import psycopg

from relay.events.event import Event, Kind
from relay.metrics import Metrics
from relay.resolver import Resolver
from relay.storage.postgres.store import PostgresStore
from relay.webhooks.report import WebhookReport
from relay.webhooks.service import Webhooks
from relay.webhooks.start_positions import store_start_positions
from tests.contract.values import NOW
from tests.servers.waiting import until
from tests.servers.webhook_harness import enqueue, invoice, webhook_settings
from tests.servers.webhook_receiver import Receiver

_LATE = (
    b"INSERT INTO events (at, kind, queue_id, number, address, data) VALUES (%s, 'open', 'QLATE', 0, 'late@x.test', '')"
)


class Node:
    """The webhooks of one node. `leads` is set by the test."""

    def __init__(self, store: PostgresStore, url: str) -> None:
        self.store = store
        self.leads = False
        settings = webhook_settings(url)
        self.webhooks = Webhooks(
            settings=lambda: settings,
            feed=store.feed,
            store=store.webhooks,
            nodes=self,  # type: ignore[arg-type]  # only `leads` is asked
            report=WebhookReport(lambda *_, **__: None, Metrics(), lambda *_: None),
            lookups=Resolver(),
            clock=lambda: NOW,
        )

    async def record(self, number: int) -> None:
        event = Event(Kind.CLICK, NOW + number, "Q1", 0, "ada@reader.test", {"id": str(number)})
        await self.store.events.record([event])
        self.webhooks.wake()


@asynccontextmanager
async def nodes(postgres: str, folder: Path, url: str) -> AsyncIterator[list[Node]]:
    found: list[Node] = []
    for name in ("one", "two"):
        (folder / name).mkdir()
        found.append(Node(await PostgresStore.open(postgres, folder / name, now=NOW), url))
    found[0].leads = True
    await store_start_positions(
        list(found[0].webhooks.configured().values()), found[0].store.feed, found[0].store.webhooks, NOW
    )
    tasks = [asyncio.create_task(node.webhooks.run()) for node in found]
    try:
        yield found
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        for node in found:
            await node.store.close()


async def test_nothing_is_skipped_by_a_long_transaction_nor_by_a_change_of_the_leader(
    postgres: str, tmp_path: Path
) -> None:
    async with Receiver() as receiver, nodes(postgres, tmp_path, receiver.url) as (one, two):
        await enqueue(one.store, replace(invoice()))

        def clicks() -> set[str]:
            return {post.json["timestamp"] for post in receiver.posts if post.json["type"] == "message.click"}

        with psycopg.connect(postgres) as late:
            await one.record(0)
            await until(lambda: len(clicks()) == 1)
            late.execute(_LATE, (NOW,))
            for number in range(1, 11):
                await (one, two)[number % 2].record(number)
            one.leads, two.leads = False, True
            for number in range(11, 21):
                await (one, two)[number % 2].record(number)
            late.commit()
        for node in (one, two):
            node.webhooks.wake()
        await until(lambda: len(clicks()) == 21)
        assert "late@x.test" in {post.json["data"]["recipient"] for post in receiver.posts}
        assert len({post.id for post in receiver.posts}) == 1 + 1 + 21
