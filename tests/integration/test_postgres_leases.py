"""Leases: work is handed out once, taken over from the dead, and settled by whoever holds it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from relay.events.event import Kind
from relay.events.ports import StoreError
from relay.queue.claim_limits import ClaimLimits
from relay.queue.entry import LaneFlow, State, move
from relay.queue.operator_actions import delete
from relay.queue.ports import EntryQuery
from relay.reports.ports import MessageQuery
from relay.storage.postgres.nodes import LEASE
from relay.storage.postgres.store import PostgresStore
from tests.contract.values import NOW, ROOMY, accepted, settle
from tests.integration.cluster import ONE, Cluster, keys
from tests.servers.audit import assert_balanced
from tests.servers.waiting import PATIENCE, until


async def test_no_entry_is_handed_out_twice(cluster: Cluster) -> None:
    stores = [await cluster.node(name) for name in "abc"]
    for number in range(120):
        await stores[number % 3].queue.enqueue(accepted(f"M{number:03}", f"x@{number % 7}.test"))
    room = ClaimLimits(entries=5, content_bytes=1 << 20, per_lane=3, lanes={})
    taken: list[tuple[str, int]] = []

    async def work(store: PostgresStore) -> None:
        # A claim finds nothing while others hold the last entries of a lane, and the node then forgets the lane.
        while len(taken) < 120:
            store._lanes.note([(LaneFlow(f"mx:{lane}.test"), NOW) for lane in range(7)])
            claims = await store.queue.claim(NOW, room)
            taken.extend(keys(claims))
            await store.queue.apply([settle(claimed, State.DELIVERED, NOW) for claimed in claims])

    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*(work(store) for store in stores for _ in range(2)))
    assert sorted(taken) == [(f"M{number:03}", 0) for number in range(120)]


async def test_the_work_of_a_dead_node_is_taken_over_and_its_late_word_changes_nothing(cluster: Cluster) -> None:
    woken = asyncio.Event()
    first, second = await cluster.node("first"), await cluster.node("second", woken.set)
    for queue_id in ("A", "B"):
        await first.queue.enqueue(accepted(queue_id, "x@a.test"))
    claims = await first.queue.claim(NOW, ROOMY)
    await first.queue.apply([settle(claims[1], State.DELIVERED, NOW)])
    assert await second.queue.claim(NOW, ROOMY) == []
    woken.clear()
    await cluster.die(first)
    told = await until(lambda: cluster.lines("second", "node.gone"))
    assert told == [{"node": first.nodes.id, "entries": 1}]
    assert woken.is_set()
    (again,) = await second.queue.claim(NOW, ROOMY)
    assert keys([again]) == [("A", 0)]
    late = settle(claims[0], State.BOUNCED, NOW)
    (written,) = await first.queue.apply([late])
    assert (written.entries, written.events) == ((), ())
    assert cluster.lines("first", "queue.lease_lost") == [{"queue_id": "A", "entries": 1}]
    await second.queue.apply([settle(again, State.DELIVERED, NOW)])
    stories = await second.reports.stories(MessageQuery(queue_id="A"))
    assert [event.kind for event in stories[0].events] == [Kind.CREATED, Kind.DELIVERED]


async def test_each_node_that_is_gone_is_reported_with_the_entries_of_its_own(cluster: Cluster) -> None:
    """One heartbeat of the last node finds the other three gone: they held two entries, one and none."""
    nodes = [await cluster.node(name) for name in ("first", "second", "third")]
    last = await cluster.node("last")
    for store, held in zip(nodes, (("A", "B"), ("C",), ()), strict=True):
        for queue_id in held:
            await store.queue.enqueue(accepted(queue_id))
        if held:
            assert len(await store.queue.claim(NOW, ROOMY)) == len(held)
        await store._heartbeat.stop()
    cluster.sql("UPDATE nodes SET heartbeat_at = heartbeat_at - 60 WHERE node != %s", last.nodes.id)
    told = await until(lambda: cluster.lines("last", "node.gone"))
    assert {one["node"]: one["entries"] for one in told} == dict(
        zip((one.nodes.id for one in nodes), (2, 1, 0), strict=True)
    )
    assert len(await last.queue.claim(NOW, ROOMY)) == 3


async def test_new_mail_that_is_stored_after_the_end_of_the_lease_is_not_attempted_here(cluster: Cluster) -> None:
    """Its transaction hung meanwhile. Other nodes may attempt it, and this one claims it when it has a lease again."""
    store = await cluster.node("first")
    for number, loses in enumerate((False, True)):
        new = accepted(f"Q{number}", "x@a.test")
        active = replace(new, entries=tuple(move(one, State.ACTIVE) for one in new.entries))
        storing = asyncio.create_task(store.queue.enqueue(active))
        await asyncio.sleep(0)
        renewed = store._heartbeat._renewed_at
        store._heartbeat._renewed_at -= 60 if loses else 0
        assert await storing is not loses
        store._heartbeat._renewed_at = renewed
    assert keys(await store.queue.claim(NOW, ROOMY)) == [("Q1", 0)]


async def test_a_node_without_a_good_lease_claims_nothing_and_comes_back_by_itself(cluster: Cluster) -> None:
    first = await cluster.node("first")
    await first.queue.enqueue(accepted("A"))
    (claimed,) = await first.queue.claim(NOW, ROOMY)
    await first.queue.enqueue(accepted("B"))
    await cluster.die(first)
    first._heartbeat._renewed_at -= 60
    assert await first.queue.claim(NOW, ROOMY) == ()
    second = await cluster.node("second")
    await until(lambda: cluster.lines("second", "node.gone"))
    await first._heartbeat.start()
    assert cluster.lines("first", "node.lease_lost") == []  # It started anew and knew nothing of the time between.
    assert keys(await first.queue.claim(NOW, ONE)) == [("B", 0)], "A is still under way here, whoever it belongs to now"
    assert keys(await until(lambda: second.queue.claim(NOW, ROOMY))) == [("A", 0)]
    (written,) = await first.queue.apply([settle(claimed, State.DELIVERED, NOW)])
    assert written.entries == ()


async def test_a_lease_that_ran_out_unnoticed_is_replaced_and_reported(cluster: Cluster) -> None:
    store = await cluster.node("first")
    await store.queue.enqueue(accepted("A"))
    (claimed,) = await store.queue.claim(NOW, ROOMY)
    before = store._heartbeat.lease
    cluster.sql("UPDATE nodes SET lease = ''")
    told = await until(lambda: cluster.lines("first", "node.lease_lost"))
    assert told == [{"node": store.nodes.id, "entries": 1}]
    assert store._heartbeat.lease != before
    (written,) = await store.queue.apply([settle(claimed, State.DELIVERED, NOW)])
    assert written.entries == ()
    (again,) = await until(lambda: store.queue.claim(NOW, ROOMY))
    assert await store.queue.apply([settle(again, State.DELIVERED, NOW)]) == [settle(again, State.DELIVERED, NOW)]


async def test_only_what_is_lost_is_left_out_of_a_settlement(cluster: Cluster) -> None:
    store = await cluster.node("first")
    await store.queue.enqueue(accepted("A", "x@a.test", "y@a.test"))
    (claimed,) = await store.queue.claim(NOW, ROOMY)
    cluster.sql("UPDATE entries SET lease = 'another', state = 'delivered' WHERE number = 0")
    (written,) = await store.queue.apply([settle(claimed, State.BOUNCED, NOW)])
    assert [entry.number for entry in written.entries] == [1]
    assert [event.number for event in written.events] == [1]
    states = {entry.number: entry.state for _, entry in await store.queue.entries(EntryQuery())}
    assert states == {0: State.DELIVERED, 1: State.BOUNCED}


async def test_what_a_claim_took_whose_answer_was_lost_is_found_again(cluster: Cluster) -> None:
    store = await cluster.node("first")
    for queue_id in ("A", "B"):
        await store.queue.enqueue(accepted(queue_id))
    (kept,) = await store.queue.claim(NOW, ONE)
    cluster.sql(
        "UPDATE entries SET state = 'active', lease = %s, lease_number = 99 WHERE queue_id = 'B'",
        store._heartbeat.lease,
    )
    assert await store.queue.claim(NOW, ROOMY) == []
    store.queue.in_flight._result_lost = True
    assert keys(await store.queue.claim(NOW, ROOMY)) == [("B", 0)]
    assert await store.queue.apply([settle(kept, State.DELIVERED, NOW)]) == [settle(kept, State.DELIVERED, NOW)]


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
    await store.queue.enqueue(accepted("A", "x@a.test"))
    (claimed,) = await store.queue.claim(NOW, ROOMY)
    settled = settle(claimed, State.DELIVERED, NOW)
    await lose_answer(store, monkeypatch)
    with pytest.raises(StoreError, match="the connection is lost"):
        await store.queue.apply([settled])
    assert await store.queue.apply([settled]) == [settled]
    assert cluster.lines("first", "queue.lease_lost") == []
    (story,) = await store.reports.stories(MessageQuery(queue_id="A"))
    assert [event.kind for event in story.events] == [Kind.CREATED, Kind.DELIVERED], "written once"


async def test_what_others_took_over_meanwhile_is_not_taken_for_settled_here(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await cluster.node("first")
    await store.queue.enqueue(accepted("A", "x@a.test", "y@a.test"))
    (claimed,) = await store.queue.claim(NOW, ROOMY)
    settled = settle(claimed, State.DELIVERED, NOW)
    await lose_answer(store, monkeypatch)
    with pytest.raises(StoreError):
        await store.queue.apply([settled])
    cluster.sql("UPDATE entries SET state = 'waiting', attempts = 0 WHERE number = 0")
    cluster.sql("UPDATE entries SET lease_number = 77 WHERE number = 1")
    (written,) = await store.queue.apply([settled])
    assert (written.entries, written.events) == ((), ())
    assert cluster.lines("first", "queue.lease_lost") == [{"queue_id": "A", "entries": 2}]


async def test_a_restarted_node_takes_its_work_back_at_once(cluster: Cluster) -> None:
    woken = asyncio.Event()
    first, second = await cluster.node("first"), await cluster.node("second", woken.set)
    await first.queue.enqueue(accepted("A", "x@a.test", "y@a.test"))
    await first.queue.claim(NOW, ROOMY)
    await first.close()
    again = await cluster.node("first")
    assert again.nodes.id == first.nodes.id
    await asyncio.sleep(0.3)  # Beats of the other node, which must leave it alone.
    assert await second.queue.claim(NOW, ROOMY) == []
    (left,) = await again.queue.leased_by_previous_run([("A", 1)])
    await again.queue.apply([settle(left, State.DELIVERED, NOW)])
    woken.clear()
    assert await again.queue.recover(NOW, 3600.0) == 1
    await asyncio.wait_for(woken.wait(), PATIENCE)  # The others need not wait for their next look at all lanes.
    assert keys(await again.queue.claim(NOW, ROOMY)) == [("A", 0)]


async def test_what_a_dead_node_has_in_flight_is_left_to_its_next_start_for_a_while(cluster: Cluster) -> None:
    """It may have delivered that, and only its journal knows."""
    first, second = await cluster.node("first"), await cluster.node("second")
    await first.queue.enqueue(accepted("A", "x@a.test", "y@a.test"))
    await first.queue.claim(NOW, ROOMY)
    await cluster.die(first, ago=15)
    await until(lambda: cluster.lines("second", "node.gone"))
    assert await second.queue.claim(NOW, ROOMY) == []
    await first.close()

    again = await cluster.node("first")
    (left,) = await again.queue.leased_by_previous_run([("A", 0)])
    await again.queue.apply([settle(left, State.DELIVERED, NOW)])
    assert await again.queue.recover(NOW, 3600.0) == 1
    assert keys(await again.queue.claim(NOW, ROOMY)) == [("A", 1)]


async def test_a_node_that_lost_its_lease_settles_until_others_take_over(cluster: Cluster) -> None:
    first, _ = await cluster.node("first"), await cluster.node("second")
    await first.queue.enqueue(accepted("A", "x@a.test"))
    (claimed,) = await first.queue.claim(NOW, ROOMY)
    await cluster.die(first, ago=15)
    await until(lambda: cluster.lines("second", "node.gone"))
    (written,) = await first.queue.apply([settle(claimed, State.DELIVERED, NOW)])
    assert [entry.state for entry in written.entries] == [State.DELIVERED]


async def test_what_was_claimed_under_a_lease_that_ended_does_not_leave_any_more(cluster: Cluster) -> None:
    first = await cluster.node("first")
    for queue_id in ("A", "B"):
        await first.queue.enqueue(accepted(queue_id, "x@a.test"))
    one, two = await first.queue.claim(NOW, ROOMY)
    assert first.queue.holds((*one.entries, *two.entries))
    await first.queue.apply([settle(one, State.DELIVERED, NOW)])
    assert not first.queue.holds(one.entries), "settled"

    await first._heartbeat.stop()
    first._heartbeat._renewed_at -= LEASE
    assert not first.queue.holds(two.entries), "others may have taken it over"
    await first._heartbeat.start()
    assert not first.queue.holds(two.entries), "the lease is another one"


SLOW_COMMITS = """
CREATE FUNCTION wait_at_commit() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.3); RETURN NULL; END';
CREATE CONSTRAINT TRIGGER slow_commits AFTER UPDATE ON entries DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION wait_at_commit()
"""


@pytest.mark.parametrize("deleted", [False, True])
async def test_the_content_goes_with_the_last_entries_whoever_ends_them_at_once(
    cluster: Cluster, *, deleted: bool
) -> None:
    """Two nodes settle the halves of a message together, or one settles while the operator deletes at the other."""
    first, second = await cluster.node("first"), await cluster.node("second")
    await first.queue.enqueue(accepted("A", "x@a.test", "x@b.test"))
    (mine,) = await first.queue.claim(NOW, ONE)
    if deleted:
        other: Awaitable[object] = second.queue.change(EntryQuery(queue_id="A"), delete(NOW))
    else:
        second._lanes.stale = True
        (yours,) = await second.queue.claim(NOW, ONE)
        other = second.queue.apply([settle(yours, State.DELIVERED, NOW)])

    cluster.sql(SLOW_COMMITS)
    try:
        await asyncio.gather(first.queue.apply([settle(mine, State.DELIVERED, NOW)]), other)
    finally:
        cluster.sql("DROP TRIGGER slow_commits ON entries; DROP FUNCTION wait_at_commit")
    await assert_balanced(first.audits)
