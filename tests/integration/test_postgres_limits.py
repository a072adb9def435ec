"""Ledgers that nodes share: who reads how much is used waits for nobody, and nobody waits for the reader."""

import asyncio

import psycopg

from relay.limits.ports import Slot
from relay.limits.window import windows
from tests.contract.values import NOW
from tests.integration.cluster import Cluster
from tests.servers.waiting import PATIENCE

KEY = "provider:p"

LIMITS = windows(5, 9)


async def test_the_usage_is_read_while_another_node_changes_the_ledger(cluster: Cluster) -> None:
    first, second = await cluster.node("first"), await cluster.node("second")
    for number in range(3):
        await first.limits.acquire(Slot("A", number, {KEY: LIMITS}), NOW)
    with psycopg.connect(cluster.url) as raw:
        raw.execute("SELECT * FROM ledgers WHERE key = %s FOR UPDATE", [KEY])
        async with asyncio.timeout(PATIENCE):
            found = await second.limits.usage({KEY: LIMITS, "provider:none": LIMITS}, NOW)
    assert (found[KEY].left, found["provider:none"].left) == ((3, 3), (0, 0))

    await first.limits.acquire(Slot("B", 0, {KEY: LIMITS}), NOW)
    assert (await second.limits.usage({KEY: LIMITS}, NOW))[KEY].left == (4, 4)
    assert await second.limits.acquire(Slot("C", 0, {KEY: LIMITS}), NOW) == NOW
    assert await first.limits.acquire(Slot("D", 0, {KEY: LIMITS}), NOW) > NOW
