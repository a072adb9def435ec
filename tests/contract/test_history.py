"""What every store tells afterwards: events, stories, the operators' view, and what it forgets."""

import asyncio
from dataclasses import replace

import pytest

from relay.events.event import Event, Kind
from relay.events.ports import RejectedError
from relay.queue.entry import State
from relay.queue.message import NewMessage
from relay.queue.ports import EntryQuery
from relay.reports.ports import EventPlace, MessageQuery, Story
from relay.storage.store import Store
from relay.storage.timelines import SHOWN
from tests.contract.conftest import Opener
from tests.contract.values import (
    CONTENT,
    NOW,
    ROOMY,
    accepted,
    entry,
    found,
    full_entry,
    full_message,
    settle,
    with_message,
)


async def test_a_story_is_all_there_is(store: Store) -> None:
    message, waiting = full_message(), full_entry()
    created = Event(Kind.CREATED, NOW + 0.125, message.queue_id, 3, waiting.recipient, {"size": 41})
    await store.queue.enqueue(NewMessage(message, CONTENT, (waiting,), (created,)))
    [claimed] = await store.queue.claim(NOW, ROOMY)
    settlement = settle(claimed, State.DELIVERED, NOW + 3)
    await store.queue.apply([settlement])
    data = {"url": "https://x.test/ä", "bot": False, "n": [1, None, 2.5]}
    opened = Event(Kind.CLICK, NOW + 2, message.queue_id, 3, "", data)
    await store.events.record([opened])
    assert await store.reports.stories(MessageQuery(queue_id=message.queue_id)) == [
        Story(
            message,
            settlement.entries,
            (created, replace(opened, address=waiting.recipient), settlement.events[0]),
        )
    ]


async def test_events_get_their_addresses_and_unknown_ones_are_kept(store: Store) -> None:
    await store.queue.enqueue(accepted("A", "x@a.test"))
    known = Event(Kind.OPEN, NOW, "A", 0)
    unknown = Event(Kind.OPEN, NOW, "GONE", 0)
    named = Event(Kind.REPLY, NOW, "A", 0, "someone@else.test")
    assert await store.events.record([known, unknown, named]) == [replace(known, address="x@a.test"), unknown, named]
    [story] = await store.reports.stories(MessageQuery(queue_id="A"))
    assert [event.kind for event in story.events] == [Kind.CREATED, Kind.OPEN, Kind.REPLY]


async def test_a_story_has_the_first_and_last_events_of_each_recipient_and_kind(store: Store) -> None:
    await store.queue.enqueue(accepted("A", "x@a.test", "y@a.test"))
    for number in (0, 1):
        await store.events.record([Event(Kind.OPEN, NOW + at, "A", number) for at in range(100)])
    await store.events.record([Event(Kind.CLICK, NOW + 50.5, "A", 0)])
    [story] = await store.reports.stories(MessageQuery(queue_id="A"))
    opens = [event for event in story.events if event.kind is Kind.OPEN]
    shown = [*range(SHOWN), *range(100 - SHOWN, 100)]
    assert [event.at - NOW for event in opens if event.number == 1] == shown
    assert len(opens) == 2 * len(shown)
    assert [event.kind for event in story.events].count(Kind.CLICK) == 1
    assert list(story.events) == sorted(story.events, key=lambda event: event.at)


async def test_events_come_page_by_page_in_order_of_time(store: Store) -> None:
    await store.queue.enqueue(accepted("A", "x@a.test"))
    await store.queue.enqueue(accepted("B", "x@a.test"))
    await store.events.record([Event(Kind.OPEN, NOW + at // 2, "A", 0, data={"n": at}) for at in range(21)])
    seen: list[Event] = []
    after: EventPlace | None = None
    while True:
        found = await store.reports.story_page("A", after, 5)
        assert found is not None
        assert found[0].message.queue_id == "A"
        page = found[1]
        seen += page.events
        assert len(page.events) == 5 or page.next is None
        after = page.next
        if after is None:
            break
    assert [event.data.get("n") for event in seen] == [None, *range(21)]
    assert await store.reports.story_page("NONE", None, 5) is None


async def test_no_event_of_a_story_is_newer_than_the_states_of_its_recipients(store: Store) -> None:
    await store.queue.enqueue(accepted("A", *(f"u{number}@{number}.test" for number in range(60))))
    claims = await store.queue.claim(NOW, ROOMY)

    async def settle_all() -> None:
        for claimed in claims:
            await store.queue.apply([settle(claimed, State.DELIVERED, NOW)])

    settling = asyncio.create_task(settle_all())
    while not settling.done():
        found = await store.reports.story_page("A", None, 500)
        assert found is not None
        done = {event.number for event in found[1].events if event.kind is Kind.DELIVERED}
        assert done == {entry.number for entry in found[0].entries if entry.state is State.DELIVERED}
    await settling


@pytest.mark.parametrize("count", [99, 100, 101, 250, 400])
async def test_however_many_come_at_once_each_gets_its_own_address(store: Store, count: int) -> None:
    await store.queue.enqueue(accepted("A", *(f"u{number}@a.test" for number in range(count))))
    did = [
        Event(
            Kind.OPEN,
            NOW + number,
            "GONE" if number % 7 == 0 else "A",
            number,
            "said@b.test" if number % 5 == 0 else "",
            {"id": f"{number:016x}"},
        )
        for number in reversed(range(count))
    ]
    told = [
        one if one.address or one.queue_id == "GONE" else replace(one, address=f"u{one.number}@a.test") for one in did
    ]
    assert await store.events.record(did) == told
    [story] = await store.reports.stories(MessageQuery(queue_id="A"))
    kept = [event for event in story.events if event.kind is Kind.OPEN]
    assert kept == sorted((one for one in told if one.queue_id == "A"), key=lambda one: one.at)


async def test_events_of_a_message_keep_their_order_among_those_of_others(store: Store) -> None:
    for name in ("A", "B", "C"):
        await store.queue.enqueue(accepted(name, "x@a.test"))
    did = [Event(Kind.OPEN, NOW, "CABAC"[turn % 5], 0, data={"turn": turn}) for turn in range(250)]
    told = await store.events.record(did)
    assert [event.data["turn"] for event in told] == list(range(250))
    for name in ("A", "B", "C"):
        events = [one.event for one in await store.feed.of_message(name) if one.event.kind is Kind.OPEN]
        assert [event.data for event in events] == [event.data for event in did if event.queue_id == name]


async def test_an_event_that_comes_again_counts_once(store: Store) -> None:
    await store.queue.enqueue(accepted("A", "x@a.test", "y@a.test"))
    first, second = (Event(Kind.OPEN, NOW + at, "A", 0, data={"id": f"{at:016x}"}) for at in (1, 2))
    left = Event(Kind.UNSUBSCRIBE, NOW + 3, "A", 1, data={"id": "3", "by": "page"})
    await store.events.record([first, left])

    again = [first, second, left, second, replace(first, number=1), replace(first, kind=Kind.CLICK)]
    recorded = await store.events.record(again, again=True)
    assert [(event.kind, event.at, event.number) for event in recorded] == [
        (Kind.OPEN, NOW + 2, 0),
        (Kind.OPEN, NOW + 1, 1),
        (Kind.CLICK, NOW + 1, 0),
    ]
    assert await store.events.record(again, again=True) == []
    [story] = await store.reports.stories(MessageQuery(queue_id="A"))
    assert len([event for event in story.events if event.kind is not Kind.CREATED]) == 5


async def test_an_event_the_store_cannot_hold_is_refused_as_such(store: Store) -> None:
    whole = Event(Kind.OPEN, NOW, "A", 0)
    for event in (replace(whole, queue_id="\ud800"), replace(whole, number=2**70)):
        with pytest.raises((RejectedError, ValueError, ArithmeticError)):
            await store.events.record([whole, event])
    assert await store.events.record([whole]) == [whole]


async def test_purge_forgets_what_is_old_and_done(store: Store) -> None:
    for number in range(450):
        one = accepted(f"OLD{number:04}", "x@a.test", at=NOW - 1000, due=NOW - 1000)
        await store.queue.enqueue(with_message(one, tags=("t",), metadata={"k": "v"}))
    await store.queue.enqueue(accepted("NEW", "x@a.test", due=NOW - 1000, at=NOW - 10))
    await store.queue.apply([settle(one, State.DELIVERED, NOW) for one in await store.queue.claim(NOW, ROOMY)])
    await store.queue.enqueue(accepted("OPEN", "x@a.test", at=NOW - 1000))
    await store.events.record([Event(Kind.OPEN, at, "GONE", 0) for at in (NOW - 1000, NOW - 10)])
    assert await store.queue.purge(NOW - 100) == 450
    assert await found(store, MessageQuery()) == ["NEW", "OPEN"]
    assert await found(store, MessageQuery(tags=("t",))) == []
    assert await store.queue.purge(NOW - 100) == 0
    assert len(await store.queue.entries(EntryQuery())) == 2


async def test_what_was_purged_may_come_again(store: Store) -> None:
    dropped = replace(entry("A", at=NOW - 10), state=State.DROPPED)
    await store.queue.enqueue(NewMessage(accepted("A", at=NOW - 10).message, CONTENT, (dropped,)))
    assert await store.queue.purge(NOW) == 1
    await store.queue.enqueue(accepted("A"))
    assert [one.message.queue_id for one in await store.queue.claim(NOW, ROOMY)] == ["A"]


async def test_history_survives_a_restart(opener: Opener) -> None:
    store = await opener(NOW)
    await store.queue.enqueue(NewMessage(full_message(), CONTENT, (full_entry(),)))
    before = await store.reports.stories(MessageQuery())
    await store.close()
    later = await opener(NOW + 1)
    assert await later.reports.stories(MessageQuery()) == before
    await later.check()
    await later.close()


async def test_events_of_readers_get_address_and_labels_of_their_message(store: Store) -> None:
    labelled = accepted("A")
    message = replace(labelled.message, campaign="spring\n[sale]", tags=("invoice",), metadata={"invoice": "1042"})
    await store.queue.enqueue(replace(labelled, message=message))
    await store.queue.enqueue(accepted("B"))
    opens = [Event(Kind.OPEN, NOW, queue_id, 0) for queue_id in ("A", "B", "A", "UNKNOWN")]
    first, second, third, unknown = await store.events.record(opens)
    assert first.labels == third.labels == message.labels
    assert (first.address, second.labels, unknown.labels) == ("user0@example.com", {}, {})
