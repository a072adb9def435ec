"""Several nodes on one PostgreSQL: what they hear of each other, share, and do once for all."""

import asyncio
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest

from relay.app.alerts import Alert
from relay.app.maintenance import Maintenance
from relay.app.measurements import Measurements
from relay.app.observer import Observer
from relay.config.settings import Settings
from relay.events.event import Event, Kind
from relay.events.ports import StoreError
from relay.limits.ports import Slot
from relay.limits.quota import Quota, TooMany
from relay.limits.window import HOUR, Window
from relay.log import Log
from relay.queue.entry import LaneFlow, State
from relay.queue.operator_actions import hold
from relay.queue.ports import EntryQuery
from relay.reports.sites import SiteReport
from relay.rewrite.tokens import Kind as TokenKind
from relay.rewrite.tokens import Token
from relay.storage.errors import SchemaError, StoreLockedError
from relay.storage.postgres import nodes, schema
from relay.storage.postgres.heartbeat import PAUSE
from relay.storage.postgres.store import POLL_INTERVAL, PostgresStore
from relay.storage.store import Store
from relay.tracker.link_blocks import Block
from tests.contract.values import NOW, ROOMY, accepted, settle
from tests.integration.cluster import Cluster, keys
from tests.servers.postgres import PostgresServer, fresh_schema
from tests.servers.waiting import until


@pytest.fixture
async def store_of_one(cluster: Cluster) -> PostgresStore:
    return await cluster.node("first")


async def test_nodes_hear_of_new_work_at_once(cluster: Cluster) -> None:
    woken: list[int] = []
    first, second = await cluster.node("first"), await cluster.node("second", lambda: woken.append(1))
    await until(lambda: len(first.nodes.live) == 2)
    woken.clear()
    assert await second.queue.next_due([]) is None
    began = time.monotonic()
    for number in range(50):
        await first.queue.enqueue(accepted(f"M{number:02}", f"x@{number}.test"))
    await until(lambda: len(second._lanes._noted) + len(second._lanes._due) >= 50)
    pauses = (time.monotonic() - began) / PAUSE
    assert len(woken) <= pauses + 2, "one notification for all that came within its pause"
    assert await second.queue.next_due([]) == NOW
    assert len(keys(await second.queue.claim(NOW, ROOMY))) == 50


async def test_nodes_share_the_quotas_of_the_verification_page(cluster: Cluster) -> None:
    stores = [await cluster.node(name) for name in ("first", "second")]
    client, address = Quota("client", 15), Quota("address", 10)
    orders = ([client, address], [address, client])
    answers = await asyncio.gather(*(stores[n % 2].verifications.spend(orders[n % 3 % 2], NOW) for n in range(40)))
    assert [one for one in answers if one is not None] == [TooMany(NOW + HOUR)] * 30
    answers = await asyncio.gather(*(stores[n % 2].verifications.spend([client], NOW + 1) for n in range(10)))
    assert answers.count(None) == 5


async def test_nodes_hear_of_blocked_links_at_once(cluster: Cluster) -> None:
    first, second = await cluster.node("first"), await cluster.node("second")
    await until(lambda: len(first.nodes.live) == 2)
    began = time.monotonic()
    block = await first.link_blocks.block(Block("host", "evil.test", NOW))
    link = Token(TokenKind.CLICK, "0ABCDFGHJKLMNP", 0, "https://evil.test/")
    assert await until(lambda: second.link_blocks.blocks.find(link)) == block
    await second.link_blocks.unblock(block)
    await until(lambda: first.link_blocks.blocks.find(link) is None)
    assert time.monotonic() - began < POLL_INTERVAL / 2, "by notification, not by the next poll"


async def test_more_lanes_than_a_notification_holds_are_looked_up(cluster: Cluster) -> None:
    first, second = await cluster.node("first"), await cluster.node("second")
    await until(lambda: len(first.nodes.live) == 2)
    await first.queue.enqueue(accepted("A", *(f"x@{'long' * 10}{number}.test" for number in range(300))))
    await until(lambda: second.queue.next_due([]))
    assert len(keys(await second.queue.claim(NOW, ROOMY))) == 300


async def test_an_operator_and_a_claim_do_not_meet_in_one_entry(cluster: Cluster) -> None:
    first, second = await cluster.node("first"), await cluster.node("second")
    for number in range(60):
        await first.queue.enqueue(accepted(f"M{number:02}", "x@a.test"))
    second._lanes.note([(LaneFlow("mx:a.test"), NOW)])
    held, claimed = await asyncio.gather(first.queue.change(EntryQuery(), hold), second.queue.claim(NOW, ROOMY))
    taken = {queue_id for queue_id, _ in keys(claimed)}
    assert taken.isdisjoint(entry.queue_id for _, entry in held.entries)
    active = await first.queue.entries(EntryQuery(states=(State.ACTIVE,)))
    assert {entry.queue_id for _, entry in active} == taken


def crowded(times: list[float], window: Window) -> int:
    """The most of the times in any closed span of the window."""
    return max(sum(start <= at <= start + window.span for at in times) for start in times)


async def test_limits_hold_over_all_nodes(cluster: Cluster) -> None:
    stores = [await cluster.node(name) for name in "abc"]
    window = Window(7, HOUR)
    slots = [Slot(f"M{n:03}", 0, {"identity:i": (window,), "provider:p": (Window(5, 60.0),)}) for n in range(60)]
    places = await asyncio.gather(*(stores[n % 3].limits.reserve([slot], [NOW]) for n, slot in enumerate(slots)))
    times = [at for (at,) in places]
    assert crowded(times, window) == 7
    assert crowded(times, Window(5, 60.0)) == 5
    moved = await asyncio.gather(*(stores[(n + 1) % 3].limits.acquire(slot, NOW) for n, slot in enumerate(slots)))
    assert sum(at == NOW for at in moved) == 5
    waiting = [slot for slot, at in zip(slots, moved, strict=True) if at != NOW]
    later = await asyncio.gather(*(stores[n % 3].limits.acquire(slot, NOW + 61) for n, slot in enumerate(waiting)))
    assert sum(at == NOW + 61 for at in later) == 2
    usage = await stores[0].limits.usage({"identity:i": (window,)}, NOW + 61)
    assert usage == await stores[2].limits.usage({"identity:i": (window,)}, NOW + 61)
    assert usage["identity:i"].left == (7,)


async def test_what_one_node_gives_back_another_can_have(cluster: Cluster) -> None:
    first, second = await cluster.node("first"), await cluster.node("second")
    only = {"identity:i": (Window(1, HOUR),)}
    assert await first.limits.reserve([Slot("A", 0, only)], [NOW]) == [NOW]
    (later,) = await second.limits.reserve([Slot("B", 0, only)], [NOW])
    assert later > NOW
    await second.limits.release("A", [0])
    assert await first.limits.reserve([Slot("C", 0, only)], [NOW]) == [NOW]


async def test_places_of_a_dead_node_without_a_message_are_given_back(cluster: Cluster) -> None:
    first, second = await cluster.node("first"), await cluster.node("second")
    only = {"identity:i": (Window(1, HOUR),)}
    await first.limits.reserve([Slot("A", 0, only)], [NOW])
    await cluster.die(first)
    await until(lambda: cluster.lines("second", "node.gone"))

    async def free() -> bool:
        return (await second.limits.usage({"identity:i": (Window(1, HOUR),)}, NOW))["identity:i"].free_at == NOW

    await until(free)


async def test_connections_of_a_lane_are_shared_by_the_nodes_that_live(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await cluster.node("first")
    assert first.nodes.share.of("mx:a.test", 10) == 10, "alone it has all"
    second = await cluster.node("second")
    assert second.nodes.share.of("mx:a.test", 10) == 0, "the other may not know of it yet"
    await until(lambda: first.nodes.share.of("mx:a.test", 10) == 5)
    second.nodes._known_at = 0.0
    assert second.nodes.share.of("mx:a.test", 10) == 5
    assert first.nodes.share.of("mx:a.test", 1) + second.nodes.share.of("mx:a.test", 1) == 1
    await cluster.die(second)
    await until(lambda: first.nodes.share.of("mx:a.test", 10) == 10)


async def test_nodes_are_listed(cluster: Cluster) -> None:
    first, second = await cluster.node("first"), await cluster.node("second")
    await first.queue.enqueue(accepted("A", "x@a.test", "y@a.test"))
    await first.queue.claim(NOW, ROOMY)
    await cluster.die(second)
    states = {state.id: state for state in await first.nodes.states()}
    assert (states[first.nodes.id].alive, states[first.nodes.id].entries) == (True, 2)
    assert (states[second.nodes.id].alive, states[second.nodes.id].entries) == (False, 0)
    assert states[first.nodes.id].heartbeat_at >= states[first.nodes.id].started_at > 1e9


async def test_one_of_the_nodes_leads_and_another_when_it_is_gone(cluster: Cluster) -> None:
    stores = [await cluster.node(name) for name in "ab"]
    await until(lambda: all(len(store.nodes.live) == 2 for store in stores))
    (leading,) = (store for store in stores if store.nodes.leads)
    (other,) = (store for store in stores if not store.nodes.leads)
    await cluster.die(leading)
    await until(lambda: other.nodes.leads)


async def no_sites() -> list[SiteReport]:
    return []


def measurements(settings: Callable[[], Settings], store: Store, observer: Observer) -> Measurements:
    return Measurements(
        settings, store.queue, store.limits, observer.metrics, lambda: NOW, sites=no_sites, paused=tuple, domains=tuple
    )


async def test_the_leading_node_counts_the_queue_for_all(cluster: Cluster, tmp_path: Path) -> None:
    stores = [await cluster.node(name) for name in "ab"]
    await until(lambda: all(len(store.nodes.live) == 2 for store in stores))
    await stores[0].queue.enqueue(accepted("A", "x@a.test", "y@a.test"))
    settings = Settings.model_validate({"server": {"hostname": "relay.test", "data_dir": str(tmp_path)}})
    for store in stores:
        observer = Observer(Log(StringIO(), "json"), lambda: NOW, list[Alert]().append)
        measured = measurements(lambda: settings, store, observer)
        await Maintenance(lambda: settings, store, observer, lambda: NOW, measured)._run_once()
        said = b'relay_queue_entries{reason="due",state="waiting"} 2.0' in observer.metrics.exposition()
        assert said == store.nodes.leads


async def test_a_clock_that_all_nodes_see_set_forward_lengthens_lifetimes_once(cluster: Cluster) -> None:
    """Whichever of them sees it first, and whichever leads, is dead, or has not heard of the others yet."""
    stores = [await cluster.node(name) for name in "abc"]
    await stores[0].queue.enqueue(accepted("A"))
    ((_, before),) = await stores[0].queue.entries(EntryQuery())
    for step, now in ((3 * 3600.0, NOW + 3 * 3600), (3 * 3600.5, NOW + 6 * 3600.5)):
        for store, late in zip(stores, (0.0, 4.0, 60.0), strict=True):
            await store.queue.shift_clock(now + late, step, 7200.0, 3 * 86400.0)
    ((_, after),) = await stores[0].queue.entries(EntryQuery())
    assert after.expires_at == before.expires_at + 3 * 3600.0 + 3 * 3600.5


async def test_a_data_directory_is_one_node(cluster: Cluster) -> None:
    await cluster.node("first")
    with pytest.raises(StoreLockedError, match="another relay process works with this data directory"):
        await cluster.node("first")


async def test_nodes_that_start_together_make_one_schema(postgres: str, tmp_path: Path) -> None:
    cluster = Cluster(postgres, tmp_path)
    stores = await asyncio.gather(*(cluster.node(name) for name in "abcd"))
    versions = cluster.sql("SELECT version FROM relay_schema ORDER BY version")
    assert [row[0] for row in versions] == sorted(schema.migrations())
    for store in stores:
        await store.close()


async def test_a_newer_schema_is_refused(cluster: Cluster) -> None:
    store = await cluster.node("first")
    await store.close()
    cluster.sql("INSERT INTO relay_schema VALUES (9999, now())")
    try:
        with pytest.raises(SchemaError, match="schema 9999 of the database is newer than this program"):
            await cluster.node("first")
    finally:  # Other tests use the same schema.
        cluster.sql("DELETE FROM relay_schema WHERE version = 9999")


async def test_a_server_that_is_not_there_is_reported_without_the_password(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"^PostgreSQL: connection .*failed") as refused:
        await PostgresStore.open(f"postgresql://u:hunter2@/d?host={tmp_path}", tmp_path, now=NOW, password="hunter3")
    assert "hunter" not in str(refused.value)
    with pytest.raises(StoreError, match=r"storage\.url"):
        await PostgresStore.open("postgresql://u@h/d?nonsense=1", tmp_path, now=NOW, password="x")
    assert nodes.NodeFile(tmp_path).id


async def test_a_server_that_restarts_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.storage.postgres.heartbeat.HEARTBEAT", 0.1)
    server = PostgresServer()
    try:
        store = await PostgresStore.open(fresh_schema(server.url), tmp_path, now=NOW)
        await store.queue.enqueue(accepted("A"))
        (claimed,) = await store.queue.claim(NOW, ROOMY)
        await asyncio.to_thread(server.stop)
        limited = Slot("B", 0, {"identity:i": (Window(1, HOUR),)})
        for refused in (
            store.queue.enqueue(accepted("B")),
            store.queue.apply([settle(claimed, State.DELIVERED, NOW)]),
            store.limits.reserve([limited], [NOW]),
            store.events.record([Event(Kind.OPEN, NOW, "A", 0)]),
            store.queue.entries(EntryQuery()),
            store.check(),
        ):
            with pytest.raises(StoreError, match="PostgreSQL: ") as told:
                await refused
            assert not told.value.full
        await asyncio.to_thread(server.start)

        async def works() -> bool:
            try:
                await store.check()
            except StoreError:
                return False
            return True

        await until(works)
        assert await store.queue.apply([settle(claimed, State.DELIVERED, NOW)]) == [
            settle(claimed, State.DELIVERED, NOW)
        ]
        await store.queue.enqueue(accepted("B"))
        assert await store.limits.reserve([limited], [NOW]) == [NOW]
        assert keys(await until(lambda: store.queue.claim(NOW, ROOMY))) == [("B", 0)]
        before = store._heartbeat._renewed_at
        await until(lambda: store._heartbeat._renewed_at > before)
        await store.close()
    finally:
        await asyncio.to_thread(server.close)
