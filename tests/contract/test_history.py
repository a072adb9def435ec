"""What every store tells afterwards: events, stories, the operators' view, and what it forgets."""

import asyncio
from dataclasses import replace

import pytest

from relay.events.event import Event, Kind
from relay.events.ports import RejectedError
from relay.queue.entry import Entry, State
from relay.queue.message import Message, NewMessage
from relay.queue.operator_actions import delete, flush, hold, release
from relay.queue.ports import ChangedEntries, Depth, EntryQuery
from relay.render.message_policy import MessagePolicy
from relay.reports.ports import EventPlace, MessageQuery, Story
from relay.storage.store import Store
from relay.storage.timelines import SHOWN
from tests.contract.conftest import Opener
from tests.contract.values import CONTENT, NOW, ROOMY, accepted, entry, full_entry, full_message, settle


def with_message(one: NewMessage, **changes: object) -> NewMessage:
    return replace(one, message=replace(one.message, **changes))  # type: ignore[arg-type]


async def found(store: Store, query: MessageQuery) -> list[str]:
    return [story.message.queue_id for story in await store.reports.stories(query)]


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


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (MessageQuery(), ["D", "C", "B", "A"]),
        (MessageQuery(limit=2), ["D", "C"]),
        (MessageQuery(queue_id="B"), ["B"]),
        (MessageQuery(queue_id="NONE"), []),
        (MessageQuery(message_id="<b@acme.test>"), ["B"]),
        (MessageQuery(message_id="b@acme.test"), ["B"]),
        (MessageQuery(recipient="ÄNNE@A.test"), ["B", "A"]),
        (MessageQuery(since=NOW + 1, until=NOW + 3), ["C", "B"]),
        (MessageQuery(domain="Acme.test"), ["C", "A"]),
        (MessageQuery(domains=("other.test", "Acme.test")), ["C", "A"]),
        (MessageQuery(domains=()), []),
        (MessageQuery(identities=("billing@Acme.test",)), ["A"]),
        (MessageQuery(identity="Billing@acme.test"), ["A"]),
        (MessageQuery(campaign=True), ["D"]),
        (MessageQuery(campaign=False), ["C", "B", "A"]),
        (MessageQuery(tags=("invoice",)), ["C", "A"]),
        (MessageQuery(tags=("invoice", "late")), ["C"]),
        (MessageQuery(metadata={"customer": "7"}), ["C", "B"]),
        (MessageQuery(metadata={"customer": "7", "invoice": "1"}), ["B"]),
        (MessageQuery(metadata={"invoice": "7"}), []),
        (MessageQuery(tags=("invoice",), metadata={"customer": "7"}, since=NOW), ["C"]),
    ],
)
async def test_messages_are_found_by(store: Store, query: MessageQuery, expected: list[str]) -> None:
    billing = MessagePolicy(domain="acme.test", identity="billing@acme.test")
    for one in (
        with_message(accepted("A", "änne@a.test", at=NOW), policy=billing, tags=("invoice",)),
        with_message(
            accepted("B", "Änne@A.test", "y@b.test", at=NOW + 1),
            message_id="<b@acme.test>",
            metadata={"customer": "7", "invoice": "1"},
        ),
        with_message(
            accepted("C", "z@a.test", at=NOW + 2),
            policy=MessagePolicy(domain="acme.test"),
            tags=("invoice", "late"),
            metadata={"customer": "7"},
        ),
        with_message(accepted("D", "z@a.test", at=NOW + 3), campaign="spring"),
    ):
        await store.queue.enqueue(one)
    assert await found(store, query) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (EntryQuery(), [("A", 0), ("A", 1), ("B", 0), ("C", 0)]),
        (EntryQuery(limit=2), [("A", 0), ("A", 1)]),
        (EntryQuery(after=("A", 0)), [("A", 1), ("B", 0), ("C", 0)]),
        (EntryQuery(queue_id="A"), [("A", 0), ("A", 1)]),
        (EntryQuery(recipient="X@a.test"), [("A", 0), ("C", 0)]),
        (EntryQuery(lane="mx:b.test"), [("A", 1), ("B", 0)]),
        (EntryQuery(lane="mx:b.test", after=("A", 1), states=(State.WAITING,)), [("B", 0)]),
        (EntryQuery(domain="acme.test"), [("B", 0)]),
        (EntryQuery(identity="billing@acme.test"), [("B", 0)]),
        (EntryQuery(states=(State.ACTIVE,)), [("C", 0)]),
        (EntryQuery(states=(State.ACTIVE, State.DELIVERED)), [("C", 0)]),
        (EntryQuery(states=(State.DELIVERED,)), []),
    ],
)
async def test_entries_are_found_by(store: Store, query: EntryQuery, expected: list[tuple[str, int]]) -> None:
    await store.queue.enqueue(accepted("C", "x@a.test", due=NOW - 1))
    await store.queue.claim(NOW - 1, ROOMY)
    await store.queue.enqueue(accepted("A", "x@a.test", "y@b.test"))
    billing = MessagePolicy(domain="acme.test", identity="billing@acme.test")
    await store.queue.enqueue(with_message(accepted("B", "z@b.test"), policy=billing))
    entries = await store.queue.entries(query)
    assert [(one.queue_id, one.number) for _, one in entries] == expected
    assert all(message.queue_id == one.queue_id for message, one in entries)


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


async def test_text_that_is_no_unicode_is_stored_all_the_same(store: Store) -> None:
    odd = with_message(
        accepted("A"), subject="caf\udce9", message_id="<\udcff@x>", header_from="\udc80@x", tags=("\udcaa",)
    )
    await store.queue.enqueue(odd)
    [story] = await store.reports.stories(MessageQuery(tags=("\udcaa",)))
    assert story.message.subject == "caf?"
    assert story.message.tags == ("\udcaa",)


async def test_a_recipient_is_found_in_every_spelling(store: Store) -> None:
    await store.queue.enqueue(accepted("A", '"Bob"@x.test.'))
    for spelling in ("bob@x.test", '"Bob"@x.test.', "BOB@X.test"):
        assert len(await store.reports.stories(MessageQuery(recipient=spelling))) == 1
    await store.database.write(lambda raw: raw.execute("""UPDATE entries SET recipient_key = '"bob"@x.test.'"""))
    assert len(await store.reports.stories(MessageQuery(recipient='"Bob"@x.test.'))) == 1


async def test_events_of_readers_get_address_and_labels_of_their_message(store: Store) -> None:
    labelled = accepted("A")
    message = replace(labelled.message, campaign="spring", tags=("invoice",), metadata={"invoice": "1042"})
    await store.queue.enqueue(replace(labelled, message=message))
    await store.queue.enqueue(accepted("B"))
    opens = [Event(Kind.OPEN, NOW, queue_id, 0) for queue_id in ("A", "B", "A", "UNKNOWN")]
    first, second, third, unknown = await store.events.record(opens)
    assert first.labels == third.labels == message.labels
    assert (first.address, second.labels, unknown.labels) == ("user0@example.com", {}, {})


async def test_pages_of_stories_go_on_where_the_last_one_ended(store: Store) -> None:
    for place, queue_id in enumerate(("A", "B", "C", "D")):
        await store.queue.enqueue(accepted(queue_id, at=NOW + place // 2))
    query, seen = MessageQuery(limit=1), []
    while page := await store.reports.stories(query):
        (story,) = page
        seen.append(story.message.queue_id)
        query = replace(query, before=(story.message.created_at, story.message.queue_id))
    assert seen == ["D", "C", "B", "A"]
