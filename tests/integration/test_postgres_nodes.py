"""Several nodes on one PostgreSQL: work is handed out once, taken over from the dead, and kept within shared limits."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest

from relay.config.settings import Settings
from relay.events.event import Event, Kind
from relay.housekeeping import Housekeeping
from relay.limits.window import HOUR, Window
from relay.observer import Observer
from relay.queue.entry import State
from relay.queue.message import Claimed
from relay.queue.office import hold
from relay.queue.ports import EntryQuery, LaneRoom, Slot, StoreError
from relay.reports.ports import MessageQuery
from relay.storage.errors import SchemaError, StoreLockedError
from relay.storage.pg import nodes, schema
from relay.storage.postgres import PostgresStore
from tests.contract.values import NOW, ROOMY, accepted, settle
from tests.servers.postgres import PostgresServer, fresh_schema

ONE = LaneRoom(entries=1, content_bytes=1 << 20, per_lane=1, lanes={})


class Cluster:
    """Nodes with data directories of their own; what they log is kept."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder
        self.stores: list[PostgresStore] = []
        self.logged: list[tuple[str, str, dict[str, Any]]] = []

    async def node(self, name: str) -> PostgresStore:
        data_dir = self.folder / name
        data_dir.mkdir(exist_ok=True)

        def log(line: str, **fields: Any) -> None:
            self.logged.append((name, line, fields))

        store = await PostgresStore.open(self.url, data_dir, now=NOW, log=log)
        self.stores.append(store)
        return store

    def sql(self, sql: str, *values: Any) -> list[Any]:
        with psycopg.connect(self.url, autocommit=True) as raw:
            cursor = raw.execute(sql, values)
            return cursor.fetchall() if cursor.description else []

    async def die(self, store: PostgresStore) -> None:
        """Let the node's heart stop, a minute ago: nothing else of it ends."""
        await store._pulse.stop()
        self.sql("UPDATE nodes SET heartbeat_at = heartbeat_at - 60 WHERE node = %s", store.node)

    def lines(self, name: str, line: str) -> list[dict[str, Any]]:
        return [fields for who, what, fields in self.logged if (who, what) == (name, line)]


@pytest.fixture
async def cluster(postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cluster]:
    monkeypatch.setattr("relay.storage.pg.pulse.HEARTBEAT", 0.1)
    made = Cluster(postgres, tmp_path)
    yield made
    for store in made.stores:
        await store.close()


@pytest.fixture
async def store_of_one(cluster: Cluster) -> PostgresStore:
    return await cluster.node("first")


async def until(holds: Callable[[], Awaitable[Any]] | Callable[[], Any], seconds: float = 10) -> Any:
    async with asyncio.timeout(seconds):
        while True:
            found = holds()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return found
            await asyncio.sleep(0.02)


def keys(claims: Sequence[Claimed]) -> list[tuple[str, int]]:
    return [(entry.queue_id, entry.number) for claimed in claims for entry in claimed.entries]


async def test_no_entry_is_handed_out_twice(cluster: Cluster) -> None:
    stores = [await cluster.node(name) for name in "abc"]
    for number in range(120):
        await stores[number % 3].enqueue(accepted(f"M{number:03}", f"x@{number % 7}.test"))
    room = LaneRoom(entries=5, content_bytes=1 << 20, per_lane=3, lanes={})
    taken: list[tuple[str, int]] = []

    async def work(store: PostgresStore) -> None:
        store._lanes.hear([(f"mx:{lane}.test", NOW) for lane in range(7)])
        while claims := await store.claim(NOW, room):
            taken.extend(keys(claims))
            await store.apply([settle(claimed, State.DELIVERED, NOW) for claimed in claims])

    await asyncio.gather(*(work(store) for store in stores for _ in range(2)))
    assert sorted(taken) == [(f"M{number:03}", 0) for number in range(120)]


async def test_the_work_of_a_dead_node_is_taken_over_and_its_late_word_changes_nothing(cluster: Cluster) -> None:
    first, second = await cluster.node("first"), await cluster.node("second")
    for queue_id in ("A", "B"):
        await first.enqueue(accepted(queue_id, "x@a.test"))
    claims = await first.claim(NOW, ROOMY)
    await first.apply([settle(claims[1], State.DELIVERED, NOW)])
    assert await second.claim(NOW, ROOMY) == []
    woken = asyncio.Event()
    second.on_work = woken.set
    await cluster.die(first)
    told = await until(lambda: cluster.lines("second", "node.gone"))
    assert told == [{"node": first.node, "entries": 1}]
    assert woken.is_set()
    (again,) = await second.claim(NOW, ROOMY)
    assert keys([again]) == [("A", 0)]
    late = settle(claims[0], State.BOUNCED, NOW)
    (written,) = await first.apply([late])
    assert (written.entries, written.events) == ((), ())
    assert cluster.lines("first", "queue.lease_lost") == [{"queue_id": "A", "entries": 1}]
    await second.apply([settle(again, State.DELIVERED, NOW)])
    stories = await second.stories(MessageQuery(queue_id="A"))
    assert [event.kind for event in stories[0].events] == [Kind.CREATED, Kind.DELIVERED]


async def test_a_node_without_a_good_lease_claims_nothing_and_comes_back_by_itself(cluster: Cluster) -> None:
    first = await cluster.node("first")
    await first.enqueue(accepted("A"))
    (claimed,) = await first.claim(NOW, ROOMY)
    await first.enqueue(accepted("B"))
    await cluster.die(first)
    first._pulse._renewed_at -= 60
    assert await first.claim(NOW, ROOMY) == ()
    second = await cluster.node("second")
    await until(lambda: cluster.lines("second", "node.gone"))
    await first._pulse.start()
    assert cluster.lines("first", "node.lease_lost") == []  # It started anew and knew nothing of the time between.
    assert keys(await first.claim(NOW, ONE)) == [("B", 0)], "A is still under way here, whoever it belongs to now"
    assert keys(await until(lambda: second.claim(NOW, ROOMY))) == [("A", 0)]
    (written,) = await first.apply([settle(claimed, State.DELIVERED, NOW)])
    assert written.entries == ()


async def test_a_lease_that_ran_out_unnoticed_is_replaced_and_told(cluster: Cluster) -> None:
    store = await cluster.node("first")
    await store.enqueue(accepted("A"))
    (claimed,) = await store.claim(NOW, ROOMY)
    before = store._pulse.lease
    cluster.sql("UPDATE nodes SET lease = ''")
    told = await until(lambda: cluster.lines("first", "node.lease_lost"))
    assert told == [{"node": store.node, "entries": 1}]
    assert store._pulse.lease != before
    (written,) = await store.apply([settle(claimed, State.DELIVERED, NOW)])
    assert written.entries == ()
    (again,) = await until(lambda: store.claim(NOW, ROOMY))
    assert await store.apply([settle(again, State.DELIVERED, NOW)]) == [settle(again, State.DELIVERED, NOW)]


async def test_only_what_is_lost_is_left_out_of_a_settlement(cluster: Cluster) -> None:
    store = await cluster.node("first")
    await store.enqueue(accepted("A", "x@a.test", "y@a.test"))
    (claimed,) = await store.claim(NOW, ROOMY)
    cluster.sql("UPDATE entries SET lease = 'another', state = 'delivered' WHERE number = 0")
    (written,) = await store.apply([settle(claimed, State.BOUNCED, NOW)])
    assert [entry.number for entry in written.entries] == [1]
    assert [event.recipient for event in written.events] == [1]
    states = {entry.number: entry.state for _, entry in await store.entries(EntryQuery())}
    assert states == {0: State.DELIVERED, 1: State.BOUNCED}


async def test_what_a_claim_took_whose_answer_was_lost_is_found_again(cluster: Cluster) -> None:
    store = await cluster.node("first")
    for queue_id in ("A", "B"):
        await store.enqueue(accepted(queue_id))
    (kept,) = await store.claim(NOW, ONE)
    cluster.sql(
        "UPDATE entries SET state = 'active', lease = %s, lease_number = 99 WHERE queue_id = 'B'", store._pulse.lease
    )
    assert await store.claim(NOW, ROOMY) == []
    store._hand._doubtful = True
    assert keys(await store.claim(NOW, ROOMY)) == [("B", 0)]
    assert await store.apply([settle(kept, State.DELIVERED, NOW)]) == [settle(kept, State.DELIVERED, NOW)]


async def lose_answer(store: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the connection of the next transaction break when it is committed, before anybody hears of it."""
    through = store._link.run

    async def run(function: Callable[[Any], Any]) -> Any:
        await through(function)
        monkeypatch.setattr(store._link, "run", through)
        raise psycopg.OperationalError("the connection is lost")

    monkeypatch.setattr(store._link, "run", run)


async def test_what_was_settled_without_an_answer_is_known_when_it_is_tried_again(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await cluster.node("first")
    await store.enqueue(accepted("A", "x@a.test"))
    (claimed,) = await store.claim(NOW, ROOMY)
    settled = settle(claimed, State.DELIVERED, NOW)
    await lose_answer(store, monkeypatch)
    with pytest.raises(StoreError, match="the connection is lost"):
        await store.apply([settled])
    assert await store.apply([settled]) == [settled]
    assert cluster.lines("first", "queue.lease_lost") == []
    (story,) = await store.stories(MessageQuery(queue_id="A"))
    assert [event.kind for event in story.events] == [Kind.CREATED, Kind.DELIVERED], "written once"


async def test_what_others_took_over_meanwhile_is_not_taken_for_settled_here(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await cluster.node("first")
    await store.enqueue(accepted("A", "x@a.test", "y@a.test"))
    (claimed,) = await store.claim(NOW, ROOMY)
    settled = settle(claimed, State.DELIVERED, NOW)
    await lose_answer(store, monkeypatch)
    with pytest.raises(StoreError):
        await store.apply([settled])
    cluster.sql("UPDATE entries SET state = 'waiting', attempts = 0 WHERE number = 0")
    cluster.sql("UPDATE entries SET lease_number = 77 WHERE number = 1")
    (written,) = await store.apply([settled])
    assert (written.entries, written.events) == ((), ())
    assert cluster.lines("first", "queue.lease_lost") == [{"queue_id": "A", "entries": 2}]


async def test_a_restarted_node_takes_its_work_back_at_once(cluster: Cluster) -> None:
    first, second = await cluster.node("first"), await cluster.node("second")
    await first.enqueue(accepted("A", "x@a.test", "y@a.test"))
    await first.claim(NOW, ROOMY)
    await first.close()
    again = await cluster.node("first")
    assert again.node == first.node
    await asyncio.sleep(0.3)  # Beats of the other node, which must leave it alone.
    assert await second.claim(NOW, ROOMY) == []
    (left,) = await again.left_in_hand([("A", 1)])
    await again.apply([settle(left, State.DELIVERED, NOW)])
    woken = asyncio.Event()
    second.on_work = woken.set
    assert await again.recover(NOW, 3600.0) == 1
    await asyncio.wait_for(woken.wait(), 2)  # The others need not wait for their next look at all lanes.
    assert keys(await again.claim(NOW, ROOMY)) == [("A", 0)]


async def test_nodes_hear_of_new_work_at_once(cluster: Cluster) -> None:
    first, second = await cluster.node("first"), await cluster.node("second")
    await until(lambda: len(first.live) == 2)
    woken: list[int] = []
    second.on_work = lambda: woken.append(1)
    assert await second.next_due([]) is None
    for number in range(50):
        await first.enqueue(accepted(f"M{number:02}", f"x@{number}.test"))
    await until(lambda: len(second._lanes._heard) + len(second._lanes._due) >= 50, 2)
    assert len(woken) <= 10, "one notification for all that came within its pause"
    assert await second.next_due([]) == NOW
    assert len(keys(await second.claim(NOW, ROOMY))) == 50


async def test_more_lanes_than_a_notification_holds_are_looked_up(cluster: Cluster) -> None:
    first, second = await cluster.node("first"), await cluster.node("second")
    await until(lambda: len(first.live) == 2)
    await first.enqueue(accepted("A", *(f"x@{'long' * 10}{number}.test" for number in range(300))))
    await until(lambda: second.next_due([]), 3)
    assert len(keys(await second.claim(NOW, ROOMY))) == 300


async def test_an_operator_and_a_claim_do_not_meet_in_one_entry(cluster: Cluster) -> None:
    first, second = await cluster.node("first"), await cluster.node("second")
    for number in range(60):
        await first.enqueue(accepted(f"M{number:02}", "x@a.test"))
    second._lanes.hear([("mx:a.test", NOW)])
    held, claimed = await asyncio.gather(first.change(EntryQuery(), hold), second.claim(NOW, ROOMY))
    taken = {queue_id for queue_id, _ in keys(claimed)}
    assert taken.isdisjoint(entry.queue_id for _, entry in held)
    active = await first.entries(EntryQuery(states=(State.ACTIVE,)))
    assert {entry.queue_id for _, entry in active} == taken


def crowded(times: list[float], window: Window) -> int:
    """The most of the times in any closed span of the window."""
    return max(sum(start <= at <= start + window.span for at in times) for start in times)


async def test_limits_hold_over_all_nodes(cluster: Cluster) -> None:
    stores = [await cluster.node(name) for name in "abc"]
    window = Window(7, HOUR)
    slots = [Slot(f"M{n:03}", 0, {"identity:i": (window,), "provider:p": (Window(5, 60.0),)}) for n in range(60)]
    places = await asyncio.gather(*(stores[n % 3].reserve([slot], [NOW]) for n, slot in enumerate(slots)))
    times = [at for (at,) in places]
    assert crowded(times, window) == 7
    assert crowded(times, Window(5, 60.0)) == 5
    moved = await asyncio.gather(*(stores[(n + 1) % 3].depart(slot, NOW) for n, slot in enumerate(slots)))
    assert sum(at == NOW for at in moved) == 5
    waiting = [slot for slot, at in zip(slots, moved, strict=True) if at != NOW]
    later = await asyncio.gather(*(stores[n % 3].depart(slot, NOW + 61) for n, slot in enumerate(waiting)))
    assert sum(at == NOW + 61 for at in later) == 2
    usage = await stores[0].usage({"identity:i": (window,)}, NOW + 61)
    assert usage == await stores[2].usage({"identity:i": (window,)}, NOW + 61)
    assert usage["identity:i"].left == (7,)


async def test_what_one_node_gives_back_another_can_have(cluster: Cluster) -> None:
    first, second = await cluster.node("first"), await cluster.node("second")
    only = {"identity:i": (Window(1, HOUR),)}
    assert await first.reserve([Slot("A", 0, only)], [NOW]) == [NOW]
    (later,) = await second.reserve([Slot("B", 0, only)], [NOW])
    assert later > NOW
    await second.forget("A", [0])
    assert await first.reserve([Slot("C", 0, only)], [NOW]) == [NOW]


async def test_places_of_a_dead_node_without_a_message_are_given_back(cluster: Cluster) -> None:
    first, second = await cluster.node("first"), await cluster.node("second")
    only = {"identity:i": (Window(1, HOUR),)}
    await first.reserve([Slot("A", 0, only)], [NOW])
    await cluster.die(first)
    await until(lambda: cluster.lines("second", "node.gone"))

    async def free() -> bool:
        return (await second.usage({"identity:i": (Window(1, HOUR),)}, NOW))["identity:i"].free_at == NOW

    await until(free)


async def test_connections_of_a_lane_are_shared_by_the_nodes_that_live(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await cluster.node("first")
    assert first.part("mx:a.test", 10) == 10, "alone it has all"
    second = await cluster.node("second")
    assert second.part("mx:a.test", 10) == 0, "the other may not know of it yet"
    await until(lambda: first.part("mx:a.test", 10) == 5)
    second._known_at = 0.0
    assert second.part("mx:a.test", 10) == 5
    assert first.part("mx:a.test", 1) + second.part("mx:a.test", 1) == 1
    await cluster.die(second)
    await until(lambda: first.part("mx:a.test", 10) == 10)


async def test_lanes_left_to_others_are_neither_claimed_nor_waited_for(store_of_one: PostgresStore) -> None:
    await store_of_one.enqueue(accepted("A", "x@a.test", "x@b.test"))
    store_of_one.leave_to_others(lambda lane: lane == "mx:a.test")
    assert keys(await store_of_one.claim(NOW, ROOMY)) == [("A", 1)]
    assert await store_of_one.next_due([]) is None
    store_of_one.leave_to_others(lambda lane: False)
    assert await store_of_one.next_due([]) == NOW
    assert keys(await store_of_one.claim(NOW, ROOMY)) == [("A", 0)]


async def test_nodes_are_listed(cluster: Cluster) -> None:
    first, second = await cluster.node("first"), await cluster.node("second")
    await first.enqueue(accepted("A", "x@a.test", "y@a.test"))
    await first.claim(NOW, ROOMY)
    await cluster.die(second)
    states = {state.id: state for state in await first.nodes()}
    assert (states[first.node].alive, states[first.node].entries) == (True, 2)
    assert (states[second.node].alive, states[second.node].entries) == (False, 0)
    assert states[first.node].heartbeat_at >= states[first.node].started_at > 1e9


async def test_one_of_the_nodes_leads_and_another_when_it_is_gone(cluster: Cluster) -> None:
    stores = [await cluster.node(name) for name in "ab"]
    await until(lambda: all(len(store.live) == 2 for store in stores))
    (leading,) = (store for store in stores if store.leads)
    (other,) = (store for store in stores if not store.leads)
    await cluster.die(leading)
    await until(lambda: other.leads)


async def test_the_leading_node_counts_the_queue_for_all(cluster: Cluster, tmp_path: Path) -> None:
    stores = [await cluster.node(name) for name in "ab"]
    await until(lambda: all(len(store.live) == 2 for store in stores))
    await stores[0].enqueue(accepted("A", "x@a.test", "y@a.test"))
    settings = Settings.model_validate({"server": {"hostname": "relay.test", "data_dir": str(tmp_path)}})
    for store in stores:
        observer = Observer(lambda line, /, **fields: None, lambda: NOW)
        await Housekeeping(lambda: settings, store, observer, lambda: NOW)._round()
        said = b'relay_queue_entries{state="waiting"} 2.0' in observer.metrics.exposition()
        assert said == store.leads


async def test_a_clock_that_all_nodes_see_set_forward_lengthens_lifetimes_once(cluster: Cluster) -> None:
    stores = [await cluster.node(name) for name in "abc"]
    await until(lambda: all(len(store.live) == 3 for store in stores))
    await stores[0].enqueue(accepted("A"))
    ((_, before),) = await stores[0].entries(EntryQuery())
    for store in stores:
        await store.clock_set(NOW + 3 * 3600, 3 * 3600.0, 7200.0, 3 * 86400.0)
    ((_, after),) = await stores[0].entries(EntryQuery())
    assert after.expires_at == before.expires_at + 3 * 3600


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
    with pytest.raises(SchemaError, match="schema 9999 of the database is newer than this program"):
        await cluster.node("first")


async def test_a_server_that_is_not_there_is_told_without_the_password(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"^PostgreSQL: connection .*failed") as refused:
        await PostgresStore.open(f"postgresql://u:hunter2@/d?host={tmp_path}", tmp_path, now=NOW, password="hunter3")
    assert "hunter" not in str(refused.value)
    with pytest.raises(StoreError, match=r"storage\.url"):
        await PostgresStore.open("postgresql://u@h/d?nonsense=1", tmp_path, now=NOW, password="x")
    assert nodes.NodeFile(tmp_path).id


async def test_a_server_that_restarts_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.storage.pg.pulse.HEARTBEAT", 0.1)
    server = PostgresServer()
    try:
        store = await PostgresStore.open(fresh_schema(server.url), tmp_path, now=NOW)
        await store.enqueue(accepted("A"))
        (claimed,) = await store.claim(NOW, ROOMY)
        await asyncio.to_thread(server.stop)
        limited = Slot("B", 0, {"identity:i": (Window(1, HOUR),)})
        for refused in (
            store.enqueue(accepted("B")),
            store.apply([settle(claimed, State.DELIVERED, NOW)]),
            store.reserve([limited], [NOW]),
            store.record([Event(Kind.OPEN, NOW, "A", 0)]),
            store.entries(EntryQuery()),
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
        assert await store.apply([settle(claimed, State.DELIVERED, NOW)]) == [settle(claimed, State.DELIVERED, NOW)]
        await store.enqueue(accepted("B"))
        assert await store.reserve([limited], [NOW]) == [NOW]
        assert keys(await until(lambda: store.claim(NOW, ROOMY))) == [("B", 0)]
        before = store._pulse._renewed_at
        await until(lambda: store._pulse._renewed_at > before)
        await store.close()
    finally:
        await asyncio.to_thread(server.close)
