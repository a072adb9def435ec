"""Tallies: sums over nodes, by span, kind and domain; readers count once; old spans become hours."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from relay.events.event import Event, Kind
from relay.mail.queue_id import queue_id
from relay.reports.tallies import (
    FINE,
    HOUR,
    KEPT,
    NOBODY,
    PERSON,
    SPAN,
    BatchName,
    ReaderAction,
    TallyKey,
    TallySum,
    added_up,
    reader_counts,
)
from relay.storage.postgres.store import PostgresStore
from relay.storage.store import Store
from tests.contract.conftest import NOW, Opener, open_at
from tests.contract.values import accepted

AT = int(NOW // HOUR) * HOUR


def key(kind: str, at: int = AT, domain: str = "acme.test") -> TallyKey:
    return TallyKey(at, domain, kind)


async def test_counts_are_added_and_outlast_a_restart(opener: Opener) -> None:
    store = await opener(NOW)
    await store.tallies.add({key("delivered"): 3, key("delivered", AT + SPAN): 1})
    await store.tallies.add({key("delivered"): 4, key("delivered", domain="other.test"): 5})
    await store.close()
    store = await opener(NOW)
    sums = await store.tallies.sums(AT, AT + HOUR, ["delivered"])
    assert sums == [TallySum(AT, "delivered", 12), TallySum(AT + SPAN, "delivered", 1)]
    assert await store.tallies.sums(AT, AT + SPAN, ["delivered"], ("acme.test",)) == [TallySum(AT, "delivered", 7)]
    assert await store.tallies.domains(AT) == [("acme.test", 8), ("other.test", 5)]


async def test_kinds_are_selected_by_name_or_beginning_with_campaign_mail(store: Store) -> None:
    await store.tallies.add(
        {
            key("bounced:bad_mailbox"): 1,
            key("bounced:mailbox_full/campaign"): 2,
            key("delivered/campaign"): 4,
            key("delivered"): 8,
            key("delay:1"): 16,
            key("bounce"): 32,
            key("bounced:bad_mailbox", domain="jane@acme.test"): 64,
        }
    )
    sums = await store.tallies.sums(AT, AT + 1, ["bounced:", "delivered"])
    assert added_up(sums) == {"bounced:bad_mailbox": 1, "bounced:mailbox_full": 2, "delivered": 12}
    own = await store.tallies.sums(AT, AT + 1, ["bounced:"], ("jane@acme.test",))
    assert own == [TallySum(AT, "bounced:bad_mailbox", 64)]


async def test_old_counts_are_added_up_by_the_hour(store: Store) -> None:
    await store.tallies.add({key("delivered", AT + SPAN * number): 1 for number in range(24)})
    assert await store.tallies.fold(AT + HOUR) == 11
    assert await store.tallies.fold(AT + HOUR) == 0
    sums = await store.tallies.sums(AT, AT + 2 * HOUR, ["delivered"])
    assert sums[:2] == [TallySum(AT, "delivered", 12), TallySum(AT + HOUR, "delivered", 1)]
    assert sum(one.count for one in sums) == 24


async def test_nodes_that_fold_at_once_add_up_each_count_once(
    opener: Opener, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    one = await opener(NOW)
    other = one  # SQLite has one connection that writes.
    if isinstance(one, PostgresStore):
        (tmp_path / "other").mkdir()
        other = await open_at(tmp_path / "other", request.getfixturevalue("tables"), NOW)
    kinds = ("created", "delivered", "dropped", "deferred", "late", "open", "click")
    try:
        for times in (1, 2):
            await one.tallies.add({key(kind, AT + SPAN * number): 1 for kind in kinds for number in range(1, 12)})
            ended = await asyncio.gather(*(store.tallies.fold(AT + HOUR) for store in (one, other, one, other)))
            assert sum(ended) == 11 * len(kinds)
            sums = await one.tallies.sums(AT, AT + HOUR, kinds)
            assert sums == [TallySum(AT, kind, 11 * times) for kind in sorted(kinds)]
    finally:
        if other is not one:
            await other.close()


async def test_counts_by_the_hour_end_after_their_retention(store: Store) -> None:
    old, kept = int(AT - KEPT - HOUR), int(AT - KEPT)
    await store.tallies.add({key("delivered", old): 1, key("delivered/campaign", old): 1, key("delivered", kept): 1})
    assert await store.tallies.fold(AT - FINE) == 2
    assert await store.tallies.sums(0, AT, ["delivered"]) == [TallySum(kept, "delivered", 1)]


async def test_a_batch_is_added_once_however_often_it_is_written(store: Store) -> None:
    first, second = BatchName("w", 1, NOW), BatchName("w", 2, NOW)
    for name in (first, first, second, second, first, BatchName("other", 1, NOW)):
        await store.tallies.add({key("delivered"): 1}, name)
    assert await store.tallies.sums(AT, AT + HOUR, ["delivered"]) == [TallySum(AT, "delivered", 3)]
    await store.tallies.fold(NOW + HOUR)
    await store.tallies.add({key("delivered"): 1}, first)
    assert added_up(await store.tallies.sums(AT, AT + HOUR, ["delivered"])) == {"delivered": 4}


def action(name: str, at: float, who: int = PERSON, clicked: int = NOBODY) -> ReaderAction:
    return ReaderAction(name, 0, at, (who, clicked))


async def test_a_recipient_that_read_before_counts_no_more(store: Store) -> None:
    name = queue_id(NOW, 1)
    await store.queue.enqueue(accepted(name))
    await store.events.record([Event(Kind.OPEN, NOW + 1, name, 0), Event(Kind.OPEN, NOW + 9, name, 0)])
    first, again = action(name, NOW + 1), action(name, NOW + 9)
    counts = reader_counts([first], await store.tallies.read_messages([first]))
    assert {one.kind: count for one, count in counts.items()} == {"open": 1}
    assert reader_counts([again], await store.tallies.read_messages([again])) == {}
    both = [first, again]
    assert sum(reader_counts(both, await store.tallies.read_messages(both)).values()) == 1


async def test_a_person_takes_the_place_of_a_machine(store: Store) -> None:
    name = queue_id(NOW, 1)
    await store.queue.enqueue(accepted(name))
    await store.events.record([Event(Kind.CLICK, NOW + 1, name, 0, data={"machine": True})])
    person = action(name, NOW + 9, PERSON, PERSON)
    counts = reader_counts([person], await store.tallies.read_messages([person]))
    assert {one.kind: count for one, count in counts.items()} == {
        "open": 1,
        "open:machine": -1,
        "click": 1,
        "click:machine": -1,
    }


async def test_mail_of_the_relay_itself_and_copies_count_for_no_reader(store: Store) -> None:
    own, copied = queue_id(NOW, 1), queue_id(NOW, 2)
    made = accepted(own)
    await store.queue.enqueue(replace(made, message=replace(made.message, origin="test")))
    created = Event(Kind.CREATED, NOW, copied, 0, data={"copy": True})
    await store.queue.enqueue(replace(accepted(copied), events=(created,)))
    actions = [action(own, NOW + 1), action(copied, NOW + 1)]
    assert reader_counts(actions, await store.tallies.read_messages(actions)) == {}
