"""Nodes that write the same rows at once lock them in one order: none ends as the victim of a deadlock."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import psycopg
import pytest

from relay.queue.site_rate import SavedRate, SiteRate
from relay.storage.postgres.store import PostgresStore
from relay.storage.suppressions import add_evidence, clear_evidence
from relay.suppression.model import Evidence, Suppression
from relay.suppression.unsubscribes import Unsubscribe
from tests.contract.values import NOW, entry
from tests.integration.cluster import Cluster
from tests.servers.waiting import until

NAMES = ("a@reader.test", "b@reader.test")

Write = Callable[[PostgresStore, Sequence[str]], Awaitable[object]]


def suppression(address: str) -> Suppression:
    return Suppression(address, "acme.test", "bad_mailbox", "rule", "550 no", "q1", NOW, NOW + 9)


async def save_rates(node: PostgresStore, names: Sequence[str]) -> None:
    await node.sites.save([SavedRate(one, SiteRate(20.0, NOW), 0.0) for one in names])


async def suppress(node: PostgresStore, names: Sequence[str]) -> None:
    await node.suppressions.add([suppression(one) for one in names])


async def count_bounces(node: PostgresStore, names: Sequence[str]) -> None:
    evidence = [Evidence(suppression(one), 3) for one in names]
    await node.database.write(lambda raw: add_evidence(raw, evidence))


async def record_unproven(node: PostgresStore, names: Sequence[str]) -> None:
    evidence = [Evidence(suppression(one), 1, unproven="nobody signed it") for one in names]
    await node.database.write(lambda raw: add_evidence(raw, evidence))


async def deliver(node: PostgresStore, names: Sequence[str]) -> None:
    delivered = [entry("q1", number, recipient=one) for number, one in enumerate(names)]
    await node.database.write(lambda raw: clear_evidence(raw, delivered))


async def take_off(node: PostgresStore, names: Sequence[str]) -> None:
    await node.suppressions.remove(names, "acme.test")


async def begin_probation(node: PostgresStore, names: Sequence[str]) -> None:
    await node.suppressions.begin_probation(names, "acme.test", "q2", NOW + 99)


async def unsubscribe(node: PostgresStore, names: Sequence[str]) -> None:
    await node.unsubscribes.add([Unsubscribe(one, "acme.test") for one in names])


async def subscribe(node: PostgresStore, names: Sequence[str]) -> None:
    await node.unsubscribes.remove(names, None, None)


async def fail_login(node: PostgresStore, names: Sequence[str]) -> None:
    await node.sessions.attempt(names, NOW)


async def fail_login_again(node: PostgresStore, names: Sequence[str]) -> None:
    await node.sessions.attempt(names, NOW + 999)


async def succeed_login(node: PostgresStore, names: Sequence[str]) -> None:
    await node.sessions.succeeded(names)


LOCKS: dict[Write, tuple[Write | None, str]] = {
    save_rates: (save_rates, "SELECT 1 FROM sites WHERE site = %s FOR UPDATE"),
    suppress: (suppress, "SELECT 1 FROM suppressions WHERE address = %s FOR UPDATE"),
    take_off: (suppress, "SELECT 1 FROM suppressions WHERE address = %s FOR UPDATE"),
    begin_probation: (suppress, "SELECT 1 FROM suppressions WHERE address = %s FOR UPDATE"),
    count_bounces: (None, "INSERT INTO soft_bounces VALUES (%s, 'acme.test', 'q1', 1, false)"),
    deliver: (count_bounces, "SELECT 1 FROM soft_bounces WHERE address = %s FOR UPDATE"),
    record_unproven: (record_unproven, "SELECT 1 FROM unproven_evidence WHERE address = %s FOR UPDATE"),
    unsubscribe: (None, "INSERT INTO unsubscribes VALUES (%s, 'acme.test', '', 'operator', '', 1)"),
    subscribe: (unsubscribe, "SELECT 1 FROM unsubscribes WHERE address = %s FOR UPDATE"),
    fail_login_again: (fail_login, "SELECT 1 FROM login_attempts WHERE key = %s FOR UPDATE"),
    succeed_login: (fail_login, "SELECT 1 FROM login_attempts WHERE key = %s FOR UPDATE"),
}
"""What two nodes write: what is there before, and how a third transaction locks the row of one name."""


@pytest.mark.parametrize("write", LOCKS, ids=lambda write: write.__name__)
async def test_rows_are_locked_in_one_order(cluster: Cluster, write: Write) -> None:
    one, other = [await cluster.node(name) for name in "ab"]
    before, lock = LOCKS[write]
    if before is not None:
        await before(one, NAMES)
    with psycopg.connect(cluster.url) as holder:
        holder.execute(lock, NAMES[:1])
        # The first waits for this row. The second would lock the row of the other name, and wait for the first.
        writes = []
        for node, names in ((one, NAMES), (other, NAMES[::-1])):
            writes.append(asyncio.ensure_future(write(node, names)))
            await until(lambda: waiting(cluster) == len(writes))
        holder.rollback()
        await asyncio.gather(*writes)


def waiting(cluster: Cluster) -> int:
    """Return the number of transactions that wait for a lock in this database."""
    sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return int(cluster.sql(sql)[0][0])
