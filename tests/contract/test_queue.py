"""What every queue store does: keeps what it took, hands it out once, settles it for good."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from relay.content_file import HEAD, LARGE, UnreadContent, head_of
from relay.events.event import Event, Kind
from relay.events.ports import StoreError
from relay.limits.priority import Flow, Priority
from relay.queue.claim_limits import ClaimLimits
from relay.queue.entry import State, StateError
from relay.queue.message import ClaimedBatch, NewMessage, Settlement
from relay.queue.nodes import NodeConnections, NodeShare
from relay.queue.operator_actions import hold
from relay.queue.ports import EntryQuery
from relay.queue.site import SiteLimits
from relay.render.message_policy import MessagePolicy
from relay.reports.ports import MessageQuery
from relay.rewrite.options import Tracking
from relay.storage.store import Store
from tests.contract.conftest import Opener
from tests.contract.values import CONTENT, NOW, ROOMY, accepted, entry, full_entry, full_message, settle


def ids(claimed: list[ClaimedBatch] | tuple[ClaimedBatch, ...]) -> list[tuple[str, int]]:
    return [(one.queue_id, one.number) for claim in claimed for one in claim.entries]


async def claim(store: Store, now: float = NOW, room: ClaimLimits = ROOMY) -> list[ClaimedBatch]:
    return list(await store.queue.claim(now, room))


async def test_hands_out_what_was_enqueued_whole(store: Store) -> None:
    message, waiting = full_message(), full_entry()
    await store.queue.enqueue(NewMessage(message, CONTENT, (waiting,)))
    assert await claim(store) == [ClaimedBatch(message, CONTENT, (replace(waiting, state=State.ACTIVE),))]


async def test_a_queue_id_is_stored_once(store: Store) -> None:
    await store.queue.enqueue(accepted("A"))
    with pytest.raises(StoreError):
        await store.queue.enqueue(accepted("A", "other@example.com", content=b"other"))
    [claimed] = await claim(store)
    assert claimed.content == CONTENT
    assert [one.recipient for one in claimed.entries] == ["user0@example.com"]


async def test_a_failing_operation_fails_alone(store: Store) -> None:
    await store.queue.enqueue(accepted("A"))
    results = await asyncio.gather(
        *(store.queue.enqueue(accepted(queue_id)) for queue_id in ("B", "A", "C")), return_exceptions=True
    )
    assert results[0] is results[2] is True
    assert isinstance(results[1], StoreError)
    assert ids(await claim(store)) == [("A", 0), ("B", 0), ("C", 0)]


async def test_hands_nothing_out_twice(store: Store) -> None:
    await asyncio.gather(*(store.queue.enqueue(accepted(f"M{n:03}")) for n in range(50)))
    one_by_one = ClaimLimits(entries=1, content_bytes=1 << 20, per_lane=1, lanes={})
    claims = await asyncio.gather(*(store.queue.claim(NOW, one_by_one) for _ in range(60)))
    taken = [key for claimed in claims for key in ids(list(claimed))]
    assert sorted(taken) == [(f"M{n:03}", 0) for n in range(50)]


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


async def test_takes_only_what_is_due_oldest_first(store: Store) -> None:
    for queue_id, due in (("A", NOW + 5), ("B", NOW - 5), ("C", NOW - 9), ("D", NOW)):
        await store.queue.enqueue(accepted(queue_id, due=due))
    assert ids(await claim(store)) == [("C", 0), ("B", 0), ("D", 0)]
    assert await store.queue.next_due([]) == NOW + 5
    assert await claim(store) == []
    assert ids(await claim(store, NOW + 5)) == [("A", 0)]
    assert await store.queue.next_due([]) is None


async def test_groups_entries_of_a_message_and_lane(store: Store) -> None:
    recipients = [f"u{n}@{domain}" for domain in ("a.test", "b.test") for n in range(3)]
    await store.queue.enqueue(accepted("A", *recipients))
    claimed = await claim(store)
    assert sorted([one.number for one in group.entries] for group in claimed) == [[0, 1, 2], [3, 4, 5]]


async def test_groups_hold_a_hundred_recipients_at_most(store: Store) -> None:
    await store.queue.enqueue(accepted("A", *(f"u{n}@a.test" for n in range(250))))
    claimed = await claim(store)
    assert [len(group.entries) for group in claimed] == [100, 100, 50]
    assert ids(claimed) == [("A", n) for n in range(250)]


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


async def test_contents_beyond_the_octets_are_left_in_the_store(store: Store) -> None:
    for queue_id in ("A", "B", "C"):
        await store.queue.enqueue(accepted(queue_id, content=bytes(100)))
    narrow = ClaimLimits(entries=10, content_bytes=250, per_lane=10, lanes={})
    claimed = await claim(store, room=narrow)
    assert ids(claimed) == [("A", 0), ("B", 0), ("C", 0)]
    assert [one.content for one in claimed[:2]] == [bytes(100)] * 2
    assert [(len(one.content), head_of(one.content)) for one in claimed[2:]] == [(100, bytes(100))]


async def test_a_large_content_is_left_in_the_store_and_copied_from_there(store: Store, tmp_path: Path) -> None:
    content = b"Subject: large\r\n\r\n" + bytes(range(256)) * (LARGE // 256 + 7)
    await store.queue.enqueue(accepted("A", content=content))
    (claimed,) = await claim(store)
    assert isinstance(claimed.content, UnreadContent)
    assert (len(claimed.content), claimed.content.head, claimed.damage) == (len(content), content[:HEAD], "")

    with (tmp_path / "copy").open("w+b") as file:
        assert await store.queue.copy_content("A", file) == ""
        file.seek(0)
        assert file.read() == content


async def test_a_large_message_is_not_passed_over_for_ever(store: Store) -> None:
    await store.queue.enqueue(accepted("BIG", "x@big.test", content=bytes(1000), due=NOW - 1))
    for n in range(20):
        await store.queue.enqueue(accepted(f"S{n:02}", "x@small.test", content=bytes(10), due=NOW - 2))
    narrow = ClaimLimits(entries=5, content_bytes=100, per_lane=1, lanes={})
    taken = [key for _ in range(3) for key in ids(await claim(store, room=narrow))]
    assert ("BIG", 0) in taken


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


async def test_a_backward_clock_does_not_stop_new_mail(store: Store) -> None:
    for n in range(3):
        await store.queue.enqueue(accepted(f"A{n}"))
    await claim(store, room=ClaimLimits(1, 1 << 20, 1, {}))
    yesterday = NOW - 86_400
    await store.queue.enqueue(accepted("B", due=yesterday, at=yesterday))
    assert ids(await claim(store, yesterday)) == [("B", 0)]
    assert ids(await claim(store)) == [("A1", 0), ("A2", 0)]


async def test_settled_entries_stay_settled(store: Store) -> None:
    await store.queue.enqueue(accepted("A", "x@a.test", "y@a.test"))
    [claimed] = await claim(store)
    first, second = (replace(claimed, entries=(one,)) for one in claimed.entries)
    await store.queue.apply(
        [settle(first, State.DELIVERED, NOW + 1), settle(second, State.WAITING, NOW + 1, due=NOW + 60)]
    )
    assert await store.queue.content("A") == CONTENT
    assert await claim(store, NOW + 59) == []
    assert await store.queue.next_due([]) == NOW + 60
    [again] = await claim(store, NOW + 60)
    assert [(one.number, one.attempts) for one in again.entries] == [(1, 1)]
    await store.queue.apply([settle(again, State.BOUNCED, NOW + 61)])
    assert await claim(store, NOW + 1e6) == []
    assert await store.queue.content("A") is None


async def test_a_final_entry_cannot_be_settled_again(store: Store) -> None:
    await store.queue.enqueue(accepted("A"))
    await store.queue.enqueue(accepted("B"))
    first, second = await claim(store)
    await store.queue.apply([settle(first, State.DELIVERED, NOW)])
    with pytest.raises(StateError, match="A/0"):
        await store.queue.apply([settle(second, State.DELIVERED, NOW), settle(first, State.BOUNCED, NOW)])
    assert {one.queue_id: one.state for _, one in await store.queue.entries(EntryQuery())} == {
        "A": State.DELIVERED,
        "B": State.ACTIVE,
    }


async def test_a_report_comes_with_the_settlement_or_not_at_all(store: Store) -> None:
    await store.queue.enqueue(accepted("A"))
    await store.queue.enqueue(accepted("TAKEN", due=NOW + 1e6))
    [claimed] = await claim(store)
    bounced = settle(claimed, State.BOUNCED, NOW)
    with pytest.raises(StoreError):
        await store.queue.apply([replace(bounced, reports=(accepted("TAKEN", "app@acme.test"),))])
    [(_, still)] = await store.queue.entries(EntryQuery(queue_id="A"))
    assert still.state is State.ACTIVE
    await store.queue.apply([replace(bounced, reports=(accepted("DSN", "app@acme.test", content=b"bounced"),))])
    [report] = await claim(store)
    assert (report.message.queue_id, report.content) == ("DSN", b"bounced")


async def test_a_restart_voids_leases_and_keeps_the_rest(opener: Opener) -> None:
    store = await opener(NOW)
    await store.queue.enqueue(accepted("A", "x@a.test", "y@b.test"))
    await store.queue.enqueue(accepted("B", due=NOW + 50))
    claimed = await claim(store)
    await store.queue.apply([settle(claimed[0], State.DELIVERED, NOW)])
    await store.close()
    later = await opener(NOW + 10)
    assert await later.queue.recover(NOW + 10, 3600.0) == 1
    again = await claim(later, NOW + 10)
    assert ids(again) == ids(claimed[1:])
    assert [entry.uncertain for one in again for entry in one.entries] == [True], "nobody knows how far that one came"
    assert await later.queue.recover(NOW + 10, 3600.0) == 0
    assert await later.queue.next_due([]) == NOW + 50
    await later.close()


async def test_what_an_earlier_process_had_in_hand_can_be_settled_at_the_start(opener: Opener) -> None:
    store = await opener(NOW)
    await store.queue.enqueue(accepted("A", "x@a.test", "y@a.test", "z@a.test"))
    await store.queue.enqueue(accepted("B", due=NOW + 50))
    [claimed] = await claim(store)
    await store.queue.apply([settle(replace(claimed, entries=claimed.entries[2:]), State.DELIVERED, NOW)])
    asked = [("A", 1), ("A", 2), ("B", 0), ("UNKNOWN", 0)]
    assert await store.queue.leased_by_previous_run(asked) == [], "what this process has leased is not left"
    await store.close()
    later = await opener(NOW + 10)
    [left] = await later.queue.leased_by_previous_run(asked)
    assert left == replace(claimed, entries=claimed.entries[1:2])
    await later.queue.apply([settle(left, State.DELIVERED, NOW)])
    assert await later.queue.leased_by_previous_run(asked) == []
    assert await later.queue.recover(NOW + 10, 3600.0) == 1
    assert await later.queue.leased_by_previous_run([("A", 0)]) == []
    await later.close()


async def test_a_restart_clamps_waits_a_backward_clock_made_too_long(opener: Opener) -> None:
    store = await opener(NOW)
    await store.queue.enqueue(accepted("A"))
    released = replace(entry("B", due=NOW + 9e5), release_at=NOW + 9e5)
    await store.queue.enqueue(NewMessage(accepted("B").message, CONTENT, (released,)))
    [claimed] = await claim(store)
    await store.queue.apply([settle(claimed, State.WAITING, NOW, due=NOW + 600)])
    await store.close()
    past = NOW - 86_400
    later = await opener(past)
    await later.queue.recover(past, 7200.0)
    states = {one.queue_id: one.next_attempt_at for _, one in await later.queue.entries(EntryQuery())}
    assert states == {"A": past + 7200, "B": NOW + 9e5}
    assert await later.queue.next_due([]) == past + 7200
    await later.close()


async def test_an_accepted_message_with_only_final_entries_keeps_no_content(store: Store) -> None:
    dropped = replace(entry("A"), state=State.DROPPED, reason="suppressed")
    await store.queue.enqueue(NewMessage(accepted("A").message, CONTENT, (dropped,)))
    assert await store.queue.content("A") is None
    assert await claim(store) == []
    [story] = await store.reports.stories(MessageQuery(queue_id="A"))
    assert story.entries == (dropped,)


async def test_a_cancelled_claim_gives_its_entries_back(store: Store) -> None:
    await store.queue.enqueue(accepted("A"))
    claiming = asyncio.create_task(store.queue.claim(NOW, ROOMY))
    await asyncio.sleep(0)
    claiming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await claiming
    taken: list[ClaimedBatch] = []
    while not taken:
        taken = await claim(store)
    assert ids(taken) == [("A", 0)]


async def test_a_cancelled_enqueue_is_whole_or_not_there(store: Store) -> None:
    tasks = [asyncio.create_task(store.queue.enqueue(accepted(f"M{n:03}", "x@a.test", "y@a.test"))) for n in range(100)]
    for turn, task in enumerate(tasks):
        if turn % 10 == 0:
            await asyncio.sleep(0)
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await store.queue.enqueue(accepted("Z", "x@a.test", "y@a.test"))
    claimed = await claim(store)
    assert all(len(group.entries) == 2 and group.content == CONTENT for group in claimed)
    assert "Z" in [group.message.queue_id for group in claimed]


async def test_settlements_without_entries_change_nothing(store: Store) -> None:
    await store.queue.apply([])
    await store.queue.apply([Settlement(())])
    await store.queue.apply([Settlement((), (Event(Kind.OPEN, NOW, "A", 0),))])
    assert await claim(store) == []


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


DAYS = 86_400.0


async def expiries(store: Store) -> dict[str, float]:
    return {one.queue_id: one.expires_at for _, one in await store.queue.entries(EntryQuery())}


async def test_a_clock_set_forward_ages_no_mail_and_set_back_keeps_none_waiting(store: Store) -> None:
    await store.queue.enqueue(accepted("A"))
    await store.queue.enqueue(accepted("B"))
    [first, _] = await claim(store)
    await store.queue.apply([settle(first, State.WAITING, NOW, due=NOW + 600)])
    later = NOW + 10 + 3 * DAYS
    await store.queue.enqueue(accepted("NEW", at=later, due=later))
    await store.queue.shift_clock(later, 3 * DAYS, 7200.0, 3 * DAYS)
    assert await expiries(store) == {"A": NOW + 6 * DAYS, "B": NOW + 6 * DAYS, "NEW": later + 3 * DAYS}

    [again] = [one for one in await claim(store, later) if one.message.queue_id == "A"]
    await store.queue.apply([settle(again, State.WAITING, later, due=later + 600)])
    await store.queue.shift_clock(NOW + 20, -3 * DAYS, 7200.0, 3 * DAYS)
    assert await expiries(store) == dict.fromkeys(("A", "B", "NEW"), NOW + 20 + 3 * DAYS)
    assert await store.queue.next_due([]) == NOW + 20 + 7200


async def test_a_clock_set_back_by_mistake_and_forward_again_ages_no_mail(store: Store) -> None:
    """For a while the times of acceptance lie in the future."""
    await store.queue.enqueue(accepted("A"))
    await store.queue.shift_clock(NOW - 9 * DAYS, -9 * DAYS, 7200.0, 3 * DAYS)
    assert await expiries(store) == {"A": NOW - 6 * DAYS}
    await store.queue.shift_clock(NOW - 4 * DAYS, 5 * DAYS, 7200.0, 3 * DAYS)
    assert await expiries(store) == {"A": NOW - 1 * DAYS}
    await store.queue.shift_clock(NOW + 60, 4 * DAYS, 7200.0, 3 * DAYS)
    assert await expiries(store) == {"A": NOW + 3 * DAYS}


async def test_a_clock_that_is_set_moves_no_release_somebody_asked_for(store: Store) -> None:
    release_at = NOW + 10 * DAYS
    held_back = replace(entry("A", due=release_at), release_at=release_at, expires_at=release_at + 3 * DAYS)
    await store.queue.enqueue(NewMessage(accepted("A").message, CONTENT, (held_back,)))
    await store.queue.shift_clock(NOW - DAYS, -DAYS, 7200.0, 3 * DAYS)
    [(_, found)] = await store.queue.entries(EntryQuery())
    assert found == held_back
    assert await store.queue.next_due([]) == release_at


async def test_mail_accepted_under_a_clock_that_ran_ahead_is_not_kept_until_then(store: Store) -> None:
    """Not tried yet, it was due when it came; that it came years from now only the clock said."""
    ahead = NOW + 1000 * DAYS
    await store.queue.enqueue(accepted("A", at=ahead, due=ahead))
    await store.queue.shift_clock(NOW, -1000 * DAYS, 7200.0, 3 * DAYS)
    assert await store.queue.next_due([]) == NOW + 7200
