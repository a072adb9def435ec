"""What operators change and count in the queue of every store: hold, release, cancel, and depth."""

from dataclasses import replace

import pytest

from relay.events.event import Event, Kind
from relay.queue.entry import Entry, State
from relay.queue.message import Message
from relay.queue.operator_actions import delete, flush, hold, release
from relay.queue.ports import ChangedEntries, Depth, EntryQuery
from relay.reports.ports import MessageQuery
from relay.storage.store import Store
from tests.contract.values import CONTENT, NOW, ROOMY, accepted


async def test_operators_hold_release_and_flush(store: Store) -> None:
    await store.queue.enqueue(accepted("A", "x@a.test"))
    await store.queue.enqueue(accepted("B", "x@a.test", due=NOW + 100))
    changed = await store.queue.change(EntryQuery(queue_id="A"), hold)
    assert [(one.state, one.reason) for _, one in changed.entries] == [(State.HELD, "held by the operator")]
    assert await store.queue.claim(NOW, ROOMY) == []
    assert await store.queue.next_due([]) == NOW + 100
    assert len((await store.queue.change(EntryQuery(), release(NOW))).entries) == 1
    assert len((await store.queue.change(EntryQuery(lane="mx:a.test"), flush(NOW))).entries) == 1
    assert await store.queue.next_due([]) == NOW
    assert [one.message.queue_id for one in await store.queue.claim(NOW, ROOMY)] == ["A", "B"]


async def test_a_change_of_many_entries_goes_page_by_page(store: Store) -> None:
    for name in "ABC":
        await store.queue.enqueue(accepted(name, "x@a.test", "y@a.test"))
    await store.queue.change(EntryQuery(queue_id="B"), hold)

    rest: EntryQuery | None = EntryQuery(limit=2)
    pages = []
    while rest is not None:
        done = await store.queue.change(rest, hold)
        pages.append([(one.queue_id, one.number) for _, one in done.entries])
        rest = done.rest

    assert pages == [[("A", 0), ("A", 1)], [], [("C", 0), ("C", 1)], []]
    assert {one.state for _, one in await store.queue.entries(EntryQuery())} == {State.HELD}


async def test_operators_cancel_what_is_not_leased(store: Store) -> None:
    await store.queue.enqueue(accepted("A", "x@a.test", due=NOW - 1))
    await store.queue.claim(NOW - 1, ROOMY)
    await store.queue.enqueue(accepted("B", "x@a.test"))
    changed = await store.queue.change(EntryQuery(states=(State.WAITING, State.ACTIVE, State.HELD)), delete(NOW))
    assert [one.queue_id for _, one in changed.entries] == ["B"]
    assert await store.queue.change(EntryQuery(states=(State.ACTIVE,)), delete(NOW)) == ChangedEntries()
    assert await store.queue.content("B") is None
    assert await store.queue.next_due([]) is None
    [story] = await store.reports.stories(MessageQuery(queue_id="B"))
    assert [event.kind for event in story.events] == [Kind.CREATED, Kind.DROPPED]


async def test_a_rule_that_raises_changes_nothing(store: Store) -> None:
    await store.queue.enqueue(accepted("A", "x@a.test", "y@a.test"))

    def rule(_: Message, one: Entry) -> tuple[Entry, list[Event]]:
        if one.number:
            raise ZeroDivisionError
        return replace(one, state=State.HELD), []

    with pytest.raises(ZeroDivisionError):
        await store.queue.change(EntryQuery(), rule)
    assert [one.state for _, one in await store.queue.entries(EntryQuery())] == [State.WAITING, State.WAITING]


async def test_depth_counts_what_is_open(store: Store) -> None:
    assert await store.queue.depth() == {}
    await store.queue.enqueue(accepted("A", "x@a.test", due=NOW - 1))
    await store.queue.claim(NOW - 1, ROOMY)
    await store.queue.enqueue(accepted("B", "x@a.test", "y@a.test", "z@b.test"))
    await store.queue.change(EntryQuery(recipient="z@b.test"), hold)
    assert await store.queue.depth() == {
        ("mx:a.test", State.ACTIVE): 1,
        ("mx:a.test", State.WAITING): 2,
        ("mx:b.test", State.HELD): 1,
    }


async def test_depth_by_time_tells_what_is_due_from_what_comes_later(store: Store) -> None:
    await store.queue.enqueue(accepted("A", "x@a.test", due=NOW - 1))
    await store.queue.enqueue(accepted("B", "y@a.test", due=NOW + 60))
    await store.queue.enqueue(accepted("C", "z@b.test", due=NOW + 60))
    found = await store.queue.depth_by_time(NOW)
    assert sorted(found, key=lambda one: (one.lane, one.first_attempt_at)) == [
        Depth("mx:a.test", State.WAITING, True, 1, NOW - 1),
        Depth("mx:a.test", State.WAITING, False, 1, NOW + 60),
        Depth("mx:b.test", State.WAITING, False, 1, NOW + 60),
    ]


async def test_the_oldest_message_of_a_lane_is_the_one_that_waits_and_arrived_first(store: Store) -> None:
    assert await store.queue.oldest() == {}
    for name in ("B", "A"):
        await store.queue.enqueue(accepted(name, "x@a.test", "y@a.test", due=NOW - 1))
    await store.queue.enqueue(accepted("C", "x@b.test"))
    assert await store.queue.oldest() == {"mx:a.test": "A", "mx:b.test": "C"}
    await store.queue.change(EntryQuery(queue_id="A"), hold)
    assert await store.queue.oldest() == {"mx:a.test": "B", "mx:b.test": "C"}


async def test_content_is_there_until_all_is_final(store: Store) -> None:
    assert await store.queue.content("A") is None
    await store.queue.enqueue(accepted("A"))
    assert await store.queue.content("A") == CONTENT
