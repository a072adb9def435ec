"""The audit over a real store: it balances after every move of an entry, and lists each leak that a fault makes."""

import asyncio
from dataclasses import replace

import pytest

from relay.events.event import Event, Kind
from relay.queue.entry import State, move
from relay.queue.message import Settlement
from relay.queue.operator_actions import delete, hold
from relay.queue.ports import EntryQuery
from relay.reports.run_audit import run_audit
from relay.reports.store_audit import StoreAudit
from relay.storage import audit
from relay.storage.database import Connection
from relay.storage.store import Store
from tests.contract.conftest import Opener
from tests.contract.values import NOW, ROOMY, accepted

WEEK = 7 * 86400.0


async def audited(store: Store, retained_since: float = 0.0) -> StoreAudit:
    async def rest() -> None:
        await asyncio.sleep(0)

    return await run_audit(store.audits, retained_since, rest)


async def settled(store: Store, **states: State) -> None:
    """Enqueue a message with an entry in each of these states."""
    await store.queue.enqueue(accepted("A", *(f"{name}@x.test" for name in states)))
    claimed = await store.queue.claim(NOW, ROOMY)
    entries = [
        move(one, states[one.recipient.partition("@")[0]])
        for batch in claimed
        for one in batch.entries
        if states[one.recipient.partition("@")[0]] is not State.ACTIVE
    ]
    events = [
        Event(Kind(one.state.value), NOW, one.queue_id, one.number, one.recipient) for one in entries if one.is_final
    ]
    await store.queue.apply([Settlement(tuple(entries), tuple(events))])


async def test_an_empty_store_balances(store: Store) -> None:
    found = await audited(store)
    assert found.is_balanced
    assert found.rows == {}


async def test_every_state_is_counted_by_day_and_identity(store: Store) -> None:
    states = {"d": State.DELIVERED, "b": State.BOUNCED, "x": State.DROPPED, "w": State.WAITING, "a": State.ACTIVE}
    await settled(store, **states)
    later = accepted("B", "h@x.test", at=NOW + 86400)
    policy = replace(later.message.policy, identity="sales@acme.test")
    await store.queue.enqueue(replace(later, message=replace(later.message, policy=policy)))
    await store.queue.change(EntryQuery(queue_id="B"), hold)

    found = await audited(store)
    assert found.leaks == []
    assert found.rows == {
        ("2027-01-15", ""): dict.fromkeys(["accepted"], 5) | dict.fromkeys([one.value for one in states.values()], 1),
        ("2027-01-16", "sales@acme.test"): {"accepted": 1, "held": 1},
    }
    assert found.is_balanced


async def test_a_bounce_after_the_delivery_and_a_deletion_are_no_leaks(store: Store) -> None:
    await settled(store, d=State.DELIVERED, w=State.WAITING)
    await store.events.record([Event(Kind.BOUNCED, NOW + 9, "A", 0, "d@x.test", {"late": True, "reply": "550 gone"})])
    await store.queue.change(EntryQuery(queue_id="A"), delete(NOW))
    assert (await audited(store)).is_balanced


FAULTS = {
    "DELETE FROM events WHERE kind = 'delivered'": [(0, "is delivered, and has no event delivered")],
    "DELETE FROM events WHERE kind = 'created' AND number = 1": [(1, "has 0 events created, not one")],
    "DELETE FROM entries WHERE number = 0": [(0, "has events (created, delivered), and no entry")],
    "DELETE FROM entries": [
        (-1, "the message has no entries"),
        (0, "has events (created, delivered), and no entry"),
        (1, "has events (created), and no entry"),
    ],
    "DELETE FROM messages": [
        (-1, "2 entries belong to no message"),
        (-1, "a content belongs to no message"),
        (-1, "was accepted, and the message is not in the store"),
    ],
    "DELETE FROM contents": [(-1, "entries are not final, and the content is gone")],
    "UPDATE entries SET state = 'waiting' WHERE number = 0": [(0, "is waiting, and has the event delivered")],
    "UPDATE entries SET state = 'delivered' WHERE number = 1": [
        (-1, "all entries are final, and the content is kept"),
        (1, "is delivered, and has no event delivered"),
    ],
    "UPDATE entries SET state = 'active' WHERE number = 1": [(1, "is active, and no process holds its lease")],
    "UPDATE entries SET state = 'lost' WHERE number = 1": [
        (-1, "all entries are final, and the content is kept"),
        (1, 'has the unknown state "lost"'),
    ],
    "INSERT INTO events (at, kind, queue_id, number, address, data) "
    "SELECT at, kind, queue_id, number, address, data FROM events WHERE kind = 'delivered'": [
        (0, "has 2 events delivered")
    ],
}


@pytest.mark.parametrize("sql", FAULTS)
async def test_each_leak_is_listed(store: Store, sql: str) -> None:
    await settled(store, d=State.DELIVERED, w=State.WAITING)

    def damage(raw: Connection) -> None:
        raw.execute(sql)

    await store.database.write(damage)
    found = await audited(store)
    assert [(leak.number, leak.fault) for leak in found.leaks] == FAULTS[sql]
    assert {(leak.queue_id, leak.day) for leak in found.leaks} == {("A", "2027-01-15")}
    assert not found.is_balanced


async def test_all_messages_are_read_in_steps_of_bounded_size(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        audit,
        "BOUNDS",
        tuple(sql.replace(f"OFFSET {audit.STEP - 1}", "OFFSET 4") for sql in audit.BOUNDS),
    )
    for number in range(30):
        recipients = [f"u{one}@x.test" for one in range(1 + number % 9)]
        await store.queue.enqueue(accepted(f"Q{number:02}", *recipients))

    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        messages, after = await store.audits.step(after)
        seen += [one.queue_id for one in messages]
        assert sum(len(one.entries) for one in messages) <= 5 + 8
    assert seen == [f"Q{number:02}" for number in range(30)]
    assert (await audited(store)).total()["accepted"] == sum(1 + number % 9 for number in range(30))


async def test_what_the_retention_deletes_is_no_leak(opener: Opener) -> None:
    """PostgreSQL drops old events of messages that are not final yet; SQLite keeps them with their message."""
    start = NOW // WEEK * WEEK
    store = await opener(start - 3 * WEEK)
    await store.queue.enqueue(accepted("OLD", at=start - 3 * WEEK))
    await store.queue.enqueue(accepted("NEW", at=start + 1))
    await store.close()

    store = await opener(start + 2)
    await store.queue.purge(start)
    found = await audited(store, start)
    assert found.leaks == []
    assert found.total() == {"accepted": 2, "waiting": 2}
    assert found.is_balanced
