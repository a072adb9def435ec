"""In which order every queue store hands entries out: shares of sites and lanes, and turns of principals and flows."""

from dataclasses import replace

from relay.limits.priority import Flow, Priority
from relay.queue.claim_limits import ClaimLimits
from relay.queue.message import NewMessage
from relay.queue.nodes import NodeConnections, NodeShare
from relay.queue.operator_actions import hold
from relay.queue.ports import EntryQuery
from relay.queue.site import SiteLimits
from relay.render.message_policy import MessagePolicy
from relay.rewrite.options import Tracking
from relay.storage.store import Store
from tests.contract.conftest import Opener
from tests.contract.values import NOW, ROOMY, accepted, claim, ids


async def test_lanes_left_to_other_nodes_are_neither_claimed_nor_waited_for(store: Store) -> None:
    new = accepted("A", "x@a.test", "x@d.test")
    entries = tuple(replace(one, lane=f"provider:{name}") for one, name in zip(new.entries, "ad", strict=True))
    await store.queue.enqueue(replace(new, entries=entries))
    shared = NodeConnections(NodeShare(1, 2), per_lane=1)
    assert [shared.may_open(lane) for lane in ("provider:a", "provider:d")] == [False, True]
    assert ids(await claim(store, room=replace(ROOMY, connections=shared))) == [("A", 1)]
    assert await store.queue.next_due([], connections=shared) is None
    assert await store.queue.next_due([]) == NOW
    assert ids(await claim(store)) == [("A", 0)]


async def test_lanes_of_a_site_share_what_it_has_left_in_turn(store: Store) -> None:
    for number in range(4):
        await store.queue.enqueue(accepted(f"A{number}", *(f"x@{domain}.test" for domain in "abc")))
    group_of = {f"mx:{domain}.test": "site" for domain in "ab"}

    async def taken(free: int) -> list[str]:
        found = await claim(store, room=replace(ROOMY, sites=SiteLimits(group_of, {"site": free})))
        return sorted(entry.lane for one in found for entry in one.entries)

    assert await taken(4) == ["mx:a.test"] * 2 + ["mx:b.test"] * 2 + ["mx:c.test"] * 4
    assert await taken(0) == []
    assert await store.queue.next_due(list(group_of)) is None
    assert sorted(await taken(1) + await taken(1)) == ["mx:a.test", "mx:b.test"]
    assert await taken(3) == ["mx:a.test", "mx:b.test"]


async def test_keeps_to_the_room_of_lanes(store: Store) -> None:
    for n in range(5):
        await store.queue.enqueue(accepted(f"M{n}", "x@a.test", "x@b.test", "x@c.test"))
    room = ClaimLimits(entries=100, content_bytes=1 << 20, per_lane=2, lanes={"mx:a.test": 0, "mx:b.test": 3})
    taken = [one.lane for group in await claim(store, room=room) for one in group.entries]
    assert {lane: taken.count(lane) for lane in taken} == {"mx:b.test": 3, "mx:c.test": 2}
    assert await store.queue.next_due(["mx:a.test", "mx:b.test", "mx:c.test"]) is None
    assert await store.queue.next_due(["mx:b.test", "mx:c.test"]) == NOW


async def test_fills_the_room_there_is(store: Store) -> None:
    for n in range(8):
        await store.queue.enqueue(accepted(f"A{n}", "x@a.test"))
    await store.queue.enqueue(accepted("B0", "x@b.test"))
    room = ClaimLimits(entries=7, content_bytes=1 << 20, per_lane=7, lanes={})
    taken = await claim(store, room=room)
    assert len(ids(taken)) == 7
    assert ("B0", 0) in ids(taken)


async def test_no_room_takes_nothing(store: Store) -> None:
    await store.queue.enqueue(accepted("A"))
    assert await claim(store, room=ClaimLimits(0, 1 << 20, 10, {})) == []
    assert await claim(store, room=ClaimLimits(10, 1 << 20, 0, {})) == []


async def test_no_lane_starves_another(store: Store) -> None:
    for n in range(30):
        await store.queue.enqueue(accepted(f"A{n:02}", "x@a.test", due=NOW - 100))
    for queue_id, domain in (("B", "b.test"), ("C", "c.test")):
        await store.queue.enqueue(accepted(queue_id, f"x@{domain}"))
    single = ClaimLimits(entries=1, content_bytes=1 << 20, per_lane=10, lanes={})
    taken = [key for _ in range(3) for key in ids(await claim(store, room=single))]
    assert sorted(queue_id[0] for queue_id, _ in taken) == ["A", "B", "C"]


def of(queue_id: str, principal: str, priority: Priority = Priority.NORMAL, due: float = NOW) -> NewMessage:
    made = accepted(queue_id, "x@a.test", due=due)
    return replace(made, entries=tuple(replace(one, principal=principal, priority=priority) for one in made.entries))


async def taken_one_by_one(store: Store, count: int) -> list[str]:
    single = ClaimLimits(entries=1, content_bytes=1 << 20, per_lane=10, lanes={})
    return [queue_id for _ in range(count) for queue_id, _ in ids(await claim(store, room=single))]


async def test_a_single_message_of_another_principal_does_not_wait_behind_a_backlog(store: Store) -> None:
    for n in range(30):
        await store.queue.enqueue(of(f"BULK{n:02}", "identity:bulk@acme.test", due=NOW - 100))
    await taken_one_by_one(store, 3)
    await store.queue.enqueue(of("OTP", "identity:otp@bcme.test"))
    assert "OTP" in await taken_one_by_one(store, 2)


async def test_authors_of_one_party_take_turns_within_its_share(store: Store) -> None:
    for n in range(20):
        await store.queue.enqueue(of(f"A{n:02}", "network:10.0.0.1\t01"))
        await store.queue.enqueue(of(f"B{n:02}", "network:10.0.0.1\t02"))
        await store.queue.enqueue(of(f"C{n:02}", "credential:app"))
    taken = [queue_id[0] for queue_id in await taken_one_by_one(store, 20)]
    assert [taken.count(name) for name in "ABC"] == [5, 5, 10]


async def test_priorities_leave_four_to_two_to_one_in_one_claim(store: Store) -> None:
    for priority in Priority:
        for n in range(30):
            await store.queue.enqueue(of(f"{priority.name[0]}{n:02}", "identity:a@acme.test", priority))
    await taken_one_by_one(store, 7)
    found = ids(await claim(store, room=ClaimLimits(entries=21, content_bytes=1 << 20, per_lane=100, lanes={})))
    taken = [queue_id[0] for queue_id, _ in found]
    assert [taken.count(name) for name in "HNC"] == [12, 6, 3]


async def test_a_campaign_never_starves_and_takes_what_the_others_leave(store: Store) -> None:
    for n in range(10):
        await store.queue.enqueue(of(f"C{n:02}", "identity:a@acme.test", Priority.CAMPAIGN))
        await store.queue.enqueue(of(f"H{n:02}", "identity:a@acme.test", Priority.HIGH))
    taken = await taken_one_by_one(store, 20)
    assert sorted(taken) == [f"{name}{n:02}" for name in "CH" for n in range(10)]
    assert "C01" in taken[:10]


async def test_a_party_without_capacity_leaves_its_entries_and_delays_no_other(store: Store) -> None:
    for n in range(5):
        await store.queue.enqueue(of(f"A{n}", "network:10.0.0.1\t01", Priority.CAMPAIGN))
        await store.queue.enqueue(of(f"B{n}", "identity:b@acme.test"))
    party = Flow("network:10.0.0.1", Priority.CAMPAIGN)
    room = ClaimLimits(entries=100, content_bytes=1 << 20, per_lane=100, lanes={}, flows={party: 2}, per_flow=4)
    assert [queue_id[0] for queue_id, _ in ids(await claim(store, room=room))].count("A") == 2
    assert ids(await claim(store, room=replace(room, flows={party: 0}))) == [("B4", 0)]
    assert await store.queue.next_due([], [party]) is None
    assert await store.queue.next_due([]) == NOW


async def test_a_party_that_holds_all_of_a_lane_leaves_one_entry_to_each_other_party(store: Store) -> None:
    for n in range(3):
        await store.queue.enqueue(of(f"A{n}", "network:10.0.0.1\t01"))
    assert await store.queue.next_due([], holders={"mx:a.test": {"network:10.0.0.1"}}) is None
    for name in "BC":
        for n in range(2):
            await store.queue.enqueue(of(f"{name}{n}", f"identity:{name.lower()}@acme.test"))

    full, holders = replace(ROOMY, lanes={"mx:a.test": 0}), {"network:10.0.0.1"}
    assert ids(await claim(store, room=full)) == []
    for name in "BC":
        lane = {"mx:a.test": frozenset(holders)}
        assert await store.queue.next_due([], holders=lane) == NOW
        assert ids(await claim(store, room=replace(full, holders=lane))) == [(f"{name}0", 0)]
        holders.add(f"identity:{name.lower()}@acme.test")
    assert ids(await claim(store, room=replace(full, holders={"mx:a.test": frozenset(holders)}))) == []
    assert await store.queue.next_due([], holders={"mx:a.test": holders}) is None
    assert await store.queue.next_due([]) == NOW


async def test_the_lanes_keep_their_turns_however_many_flows_one_has(store: Store) -> None:
    for n in range(8):
        await store.queue.enqueue(of(f"A{n}", f"identity:{n}@acme.test"))
    for n in range(4):
        await store.queue.enqueue(accepted(f"B{n}", "x@b.test"))
    taken = [queue_id[0] for queue_id in await taken_one_by_one(store, 8)]
    assert taken.count("B") == 4


async def test_flows_are_known_again_after_a_restart(opener: Opener) -> None:
    store = await opener(NOW)
    for n in range(3):
        await store.queue.enqueue(of(f"A{n}", "identity:a@acme.test", Priority.CAMPAIGN, due=NOW - 5))
        await store.queue.enqueue(of(f"B{n}", f"identity:b{n}@acme.test", Priority.HIGH))
    await store.close()
    later = await opener(NOW)
    assert sorted(ids(await claim(later))) == [(f"{name}{n}", 0) for name in "AB" for n in range(3)]
    found = await later.queue.entries(EntryQuery(queue_id="A1"))
    assert [one.flow for _, one in found] == [Flow("identity:a@acme.test", Priority.CAMPAIGN)]


async def test_a_lane_with_nothing_due_any_more_takes_no_place(store: Store) -> None:
    await store.queue.enqueue(accepted("A", "x@a.test", due=NOW - 1))
    await store.queue.enqueue(accepted("B", "x@b.test"))
    await store.queue.change(EntryQuery(queue_id="A"), hold)
    assert ids(await claim(store, room=ClaimLimits(1, 1 << 20, 1, {}))) == [("B", 0)]


async def test_recipients_of_one_message_are_not_torn_apart_by_a_narrow_lane(store: Store) -> None:
    await store.queue.enqueue(accepted("A", *(f"u{number}@x.test" for number in range(30))))
    await store.queue.enqueue(accepted("B", "v@x.test"))
    (claimed,) = await store.queue.claim(NOW, ClaimLimits(100, 1 << 20, 5, {}))
    assert [entry.number for entry in claimed.entries] == list(range(30))
    (rest,) = await store.queue.claim(NOW, ClaimLimits(100, 1 << 20, 5, {}))
    assert rest.message.queue_id == "B"


async def test_recipients_of_one_message_with_octets_of_their_own_take_no_more_than_the_capacity(store: Store) -> None:
    """A hundred of them in flight would keep all other mail of the lane waiting."""
    many = accepted("A", *(f"u{number}@a.test" for number in range(30)))
    tracked = replace(many.message, policy=MessagePolicy(tracking=Tracking(base_url="https://t.acme.test")))
    await store.queue.enqueue(replace(many, message=tracked))
    (claimed,) = await store.queue.claim(NOW, replace(ROOMY, per_lane=5))
    assert len(claimed.entries) == 5
