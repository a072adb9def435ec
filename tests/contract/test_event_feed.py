"""A reader of the feed gets each event once, in the order of its position, and misses none."""

from dataclasses import replace

import pytest

from relay.events.event import Event, Kind
from relay.queue.entry import State
from relay.storage.store import Store
from relay.webhooks.feed import Position, PositionError, StoredEvent, event_id, parse_position
from tests.contract.conftest import Opener
from tests.contract.values import NOW, ROOMY, accepted, full_message, settle


async def read_all(store: Store, after: Position, limit: int = 3) -> list[StoredEvent]:
    """Read page by page to the end."""
    found: list[StoredEvent] = []
    while True:
        page = await store.feed.read(after, limit)
        found += page.events
        after = page.end
        if not page.is_full:
            return found


def kinds(events: list[StoredEvent]) -> list[str]:
    return [one.event.kind.value for one in events]


async def test_a_reader_gets_every_event_in_order_with_its_message(store: Store) -> None:
    await store.queue.enqueue(accepted("Q1", "a@x.test", "b@x.test"))
    for batch in await store.queue.claim(NOW, ROOMY):
        await store.queue.apply([settle(batch, State.DELIVERED, NOW + 1)])
    await store.events.record([Event(Kind.OPEN, NOW + 2, "Q1", 1, data={"id": "one"})])

    found = await read_all(store, Position())
    assert kinds(found) == ["created", "created", "delivered", "delivered", "open"]
    assert [one.position for one in found] == sorted(one.position for one in found)
    assert {one.message.reverse_path for one in found if one.message} == {"app@acme.test"}
    assert found[4].event.address == "b@x.test"


async def test_a_message_comes_back_as_it_was_stored_and_an_event_without_one_has_none(store: Store) -> None:
    message = full_message()
    await store.queue.enqueue(replace(accepted(message.queue_id), message=message))
    await store.events.record([Event(Kind.CLICK, NOW, "Q0UNKNOWN", 0, data={"id": "x"})])
    first, second = await read_all(store, Position())
    assert first.message == message
    assert second.message is None


async def test_a_reader_that_begins_at_the_end_gets_what_comes_after(store: Store) -> None:
    await store.queue.enqueue(accepted("Q1"))
    end = await store.feed.end()
    assert (await store.feed.read(end, 10)).events == ()
    await store.queue.enqueue(accepted("Q2"))
    page = await store.feed.read(end, 10)
    assert [one.event.queue_id for one in page.events] == ["Q2"]
    assert not page.is_full
    assert await store.feed.behind(end, 10) == 1
    assert await store.feed.behind(Position(), 1) == 1


async def test_a_reader_that_goes_back_gets_the_same_events_the_newest_first(store: Store) -> None:
    for number in range(7):
        await store.queue.enqueue(accepted(f"Q{number}"))
    forward = await read_all(store, Position())
    found: list[StoredEvent] = []
    last, more = await store.feed.end(), True
    while more:
        page = await store.feed.read_back(last, 2)
        found += page.events
        last, more = Position(page.end.transaction, page.end.row - 1), page.is_full
    assert found == forward[::-1]
    assert len(found) == 7
    assert (await store.feed.read_back(last, 2)).events == ()


async def test_a_position_outlasts_the_process(opener: Opener) -> None:
    store = await opener(NOW)
    await store.queue.enqueue(accepted("Q1"))
    end = parse_position(str((await store.feed.read(Position(), 10)).end))
    await store.close()
    later = await opener(NOW + 1)
    await later.queue.enqueue(accepted("Q2"))
    assert [one.event.queue_id for one in (await later.feed.read(end, 10)).events] == ["Q2"]


async def test_a_position_of_another_database_is_refused(store: Store) -> None:
    await store.queue.enqueue(accepted("Q1"))
    with pytest.raises(PositionError, match="another database"):
        await store.feed.read(Position(2**50, 2**50), 10)


async def test_events_of_a_time_of_positions_and_of_a_message_are_found(store: Store) -> None:
    for number in range(40):
        await store.queue.enqueue(accepted(f"Q{number:02}", at=NOW + number * 600))
    start = await store.feed.since(NOW + 20 * 600)
    found = await read_all(store, start, 7)
    assert {f"Q{number:02}" for number in range(20, 40)} <= {one.event.queue_id for one in found}
    assert len(found) < 30
    assert await store.feed.read(await store.feed.since(NOW + 10**7), 5) is not None

    of_one = await store.feed.of_message("Q07")
    assert [one.event.queue_id for one in of_one] == ["Q07"]
    again = await store.feed.at([of_one[0].position, Position(0, 10**6)])
    assert [event_id(one.event) for one in again] == [event_id(of_one[0].event)]


async def test_after_a_purge_of_all_events_a_reader_gets_the_next_one(store: Store) -> None:
    for number in range(3):
        await store.queue.enqueue(accepted(f"Q{number}", at=NOW + number))
        for batch in await store.queue.claim(NOW + number, ROOMY):
            await store.queue.apply([settle(batch, State.DELIVERED, NOW + number)])
    end = await store.feed.end()
    await store.queue.purge(NOW + 10**8)
    await store.queue.enqueue(accepted("Q9", at=NOW + 10**8))
    assert [one.event.queue_id for one in (await store.feed.read(end, 10)).events] == ["Q9"]


def test_the_id_of_an_event_differs_with_each_of_its_parts() -> None:
    base = Event(Kind.OPEN, NOW, "Q1", 0, "a@x.test", {"id": "one"})
    others = [
        replace(base, kind=Kind.CLICK),
        replace(base, at=NOW + 1e-3),
        replace(base, queue_id="Q2"),
        replace(base, number=1),
        replace(base, data={"id": "two"}),
    ]
    assert len({event_id(one) for one in (base, *others)}) == 6
    assert event_id(base) == event_id(replace(base, address="", labels={"campaign": "x"}))
    assert "." not in event_id(base)


@pytest.mark.parametrize("text", ["", "5", "-5", "a-1", "1-", "1--2", "٣-1", f"{'9' * 30}-1"])
def test_a_text_that_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(PositionError):
        parse_position(text)
