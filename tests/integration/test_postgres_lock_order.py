"""Nodes that write the same rows at once: they lock them in one order, and the victim of a deadlock runs again."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

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
    await write_at_once(cluster, [partial(write, one, NAMES), partial(write, other, NAMES[::-1])], lock)


async def touch(node: PostgresStore, names: Sequence[str]) -> None:
    sql = "UPDATE login_attempts SET failures = failures + 1 WHERE key = ?"
    await node.database.write(lambda raw: [raw.execute(sql, (name,)).rowcount for name in names])


async def test_the_victim_of_a_deadlock_runs_again(cluster: Cluster) -> None:
    one, other = [await cluster.node(name) for name in "ab"]
    await fail_login(one, NAMES)
    lock = LOCKS[succeed_login][1]
    await write_at_once(cluster, [partial(touch, one, NAMES), partial(touch, other, NAMES[::-1])], lock)
    assert cluster.sql("SELECT failures FROM login_attempts") == [(3,), (3,)]


async def write_at_once(cluster: Cluster, writes: Sequence[Callable[[], Awaitable[object]]], lock: str) -> None:
    """Begin two writes that wait for the row of the first name, and end the transaction that locks it."""
    with psycopg.connect(cluster.url) as holder:
        holder.execute(lock, NAMES[:1])
        # The first waits for this row. The second would lock the row of the other name, and wait for the first.
        running: list[asyncio.Future[object]] = []
        for write in writes:
            running.append(asyncio.ensure_future(write()))
            await until(lambda: waiting(cluster) == len(running))
        holder.rollback()
        await asyncio.gather(*running)


WAITING = """
SELECT count(DISTINCT waits.pid) FROM pg_locks waits JOIN pg_locks held ON held.pid = waits.pid
JOIN pg_class ON pg_class.oid = held.relation
WHERE NOT waits.granted AND pg_class.relnamespace = current_schema()::regnamespace
"""


def waiting(cluster: Cluster) -> int:
    """Return the number of transactions in this schema that wait for a lock."""
    return int(cluster.sql(WAITING)[0][0])
