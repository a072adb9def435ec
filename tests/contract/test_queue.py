"""What every queue store does: keeps what it took, hands it out once, settles it for good."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from relay.content_file import HEAD, LARGE, UnreadContent, head_of
from relay.events.event import Event, Kind
from relay.events.ports import StoreError
from relay.queue.claim_limits import ClaimLimits
from relay.queue.entry import State, StateError
from relay.queue.message import ClaimedBatch, NewMessage, Settlement
from relay.queue.ports import EntryQuery
from relay.reports.ports import MessageQuery
from relay.storage.store import Store
from tests.contract.conftest import Opener
from tests.contract.values import CONTENT, NOW, ROOMY, accepted, claim, entry, full_entry, full_message, ids, settle


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


async def test_settlements_at_once_get_their_own_results(store: Store) -> None:
    for queue_id in ("A", "B", "C", "D"):
        await store.queue.enqueue(accepted(queue_id))
    first, second, third, fourth = await claim(store)
    await store.queue.apply([settle(first, State.DELIVERED, NOW)])
    pair = [settle(third, State.DELIVERED, NOW), settle(fourth, State.WAITING, NOW, due=NOW + 60)]
    results = await asyncio.gather(
        store.queue.apply([settle(second, State.BOUNCED, NOW)]),
        store.queue.apply([]),
        store.queue.apply([settle(first, State.BOUNCED, NOW)]),
        store.queue.apply(pair),
        return_exceptions=True,
    )
    written = [one if isinstance(one, BaseException) else [kept.entries for kept in one] for one in results]
    assert isinstance(written.pop(2), StateError)
    assert written == [[settle(second, State.BOUNCED, NOW).entries], [], [one.entries for one in pair]]
    assert {one.queue_id: one.state for _, one in await store.queue.entries(EntryQuery())} == {
        "A": State.DELIVERED,
        "B": State.BOUNCED,
        "C": State.DELIVERED,
        "D": State.WAITING,
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
