"""What is not stored as it was accepted is handed out with its damage, never with its content; the rest goes on."""

from dataclasses import replace
from pathlib import Path

import pytest

from relay.events.event import Kind
from relay.queue.damage import hold_damaged
from relay.queue.entry import State
from relay.queue.message import NewMessage
from relay.queue.operator_actions import release
from relay.queue.ports import EntryQuery
from relay.reports.ports import MessageQuery
from relay.storage import integrity
from relay.storage.database import Connection
from relay.storage.store import Store
from tests.contract.conftest import Opener
from tests.contract.values import CONTENT, NOW, ROOMY, accepted, forget_recent, full_entry, full_message, settle

CHANGES = {
    "one octet": ("UPDATE contents SET content = ? WHERE queue_id = 'B'", CONTENT[:-1] + b"x", integrity.CHANGED),
    "cut short": ("UPDATE contents SET content = ? WHERE queue_id = 'B'", CONTENT[:-1], integrity.CHANGED),
    "zeroes": ("UPDATE contents SET content = ? WHERE queue_id = 'B'", bytes(len(CONTENT)), integrity.CHANGED),
    "empty": ("UPDATE contents SET content = ? WHERE queue_id = 'B'", b"", integrity.CHANGED),
    "digest": ("UPDATE contents SET digest = ? WHERE queue_id = 'B'", bytes(32), integrity.CHANGED),
    "reverse-path": ("UPDATE messages SET reverse_path = ? WHERE queue_id = 'B'", "x@acme.test", integrity.CHANGED),
    "added fields": ("UPDATE messages SET added_fields = ? WHERE queue_id = 'B'", b"X: y\r\n", integrity.CHANGED),
    "policy": (
        "UPDATE messages SET policy = replace(policy, ?, 'provider') WHERE queue_id = 'B'",
        "direct",
        integrity.CHANGED,
    ),
    "unreadable policy": ("UPDATE messages SET policy = ? WHERE queue_id = 'B'", "{", integrity.UNREADABLE_MESSAGE),
    "unreadable labels": ("UPDATE messages SET tags = ? WHERE queue_id = 'B'", "\0[", integrity.UNREADABLE_MESSAGE),
    "no message": ("DELETE FROM messages WHERE queue_id = ?", "B", integrity.UNREADABLE_MESSAGE),
    "no content": ("DELETE FROM contents WHERE queue_id = ?", "B", integrity.MISSING),
    "recipient": (
        "UPDATE entries SET recipient = ? WHERE queue_id = 'B'",
        "user0@example.com\0".replace("0@", "1@"),
        integrity.CHANGED_RECIPIENT,
    ),
    "unreadable entry": ("UPDATE entries SET last_reply = ? WHERE queue_id = 'B'", "[1,", integrity.UNREADABLE_ENTRY),
}


async def change(store: Store, sql: str, *values: object) -> None:
    """Change what is stored, as a disk does: the first claim comes later."""
    forget_recent(store)

    def operation(raw: Connection) -> None:
        raw.execute(sql, values)

    await store.database.write(operation)


@pytest.mark.parametrize("case", CHANGES)
async def test_damage_concerns_its_message_only(store: Store, case: str) -> None:
    sql, value, damage = CHANGES[case]
    for queue_id in "ABC":
        await store.queue.enqueue(accepted(queue_id))
    await change(store, sql, value.replace("\0", "") if isinstance(value, str) else value)

    claimed = {one.message.queue_id: one for one in await store.queue.claim(NOW, ROOMY)}
    assert {queue_id: (one.content, one.damage) for queue_id, one in claimed.items()} == {
        "A": (CONTENT, ""),
        "B": (b"", damage),
        "C": (CONTENT, ""),
    }
    recipient = "user1@example.com" if case == "recipient" else "user0@example.com"
    assert [one.recipient for one in claimed["B"].entries] == [recipient]

    assert await store.queue.damaged() == 0
    await store.queue.apply([hold_damaged(claimed["B"], NOW)])
    assert await store.queue.damaged() == 1
    if case != "no message":
        [(_, held)] = await store.queue.entries(EntryQuery(states=(State.HELD,)))
        assert held.reason == damage
        [story] = await store.reports.stories(MessageQuery(queue_id="B"))
        assert [event.kind for event in story.events] == [Kind.CREATED, Kind.HELD]
        assert (await store.queue.content("B") is None) is (case not in ("unreadable entry", "recipient"))


async def test_a_release_is_checked_again(store: Store) -> None:
    await store.queue.enqueue(accepted("B"))
    await change(store, "UPDATE contents SET content = ?", b"LIES")
    for _ in range(2):
        [claimed] = await store.queue.claim(NOW, ROOMY)
        assert claimed.damage == integrity.CHANGED
        await store.queue.apply([hold_damaged(claimed, NOW)])
        await store.queue.change(EntryQuery(queue_id="B"), release(NOW))

    await change(store, "UPDATE contents SET content = ?", CONTENT)
    [claimed] = await store.queue.claim(NOW, ROOMY)
    assert (claimed.content, claimed.damage) == (CONTENT, "")


async def test_the_first_claim_takes_a_message_from_memory(store: Store) -> None:
    await store.queue.enqueue(accepted("B"))
    await store.database.write(lambda raw: raw.execute("UPDATE contents SET content = ?", (b"LIES",)))
    [claimed] = await store.queue.claim(NOW, ROOMY)
    assert (claimed.message, claimed.content, claimed.damage) == (accepted("B").message, CONTENT, "")

    await store.queue.apply([settle(claimed, State.WAITING, NOW)])
    [claimed] = await store.queue.claim(NOW, ROOMY)
    assert (claimed.content, claimed.damage) == (b"", integrity.CHANGED)


async def test_every_field_of_a_message_leaves_its_digest_as_it_was(store: Store) -> None:
    await store.queue.enqueue(NewMessage(full_message(), CONTENT, (full_entry(),)))
    [claimed] = await store.queue.claim(NOW, ROOMY)
    assert (claimed.message, claimed.content, claimed.damage) == (full_message(), CONTENT, "")


async def test_contents_from_before_there_were_digests_are_sent(store: Store) -> None:
    await store.queue.enqueue(accepted("A"))
    await change(store, "UPDATE contents SET digest = ?", b"")
    [claimed] = await store.queue.claim(NOW, ROOMY)
    assert (claimed.content, claimed.damage) == (CONTENT, "")


async def test_unreadable_rows_do_not_hide_the_others_from_operators(store: Store) -> None:
    for queue_id in "AB":
        await store.queue.enqueue(accepted(queue_id))
    await change(store, "UPDATE messages SET policy = '{' WHERE queue_id = 'B'")
    await change(store, "UPDATE events SET data = '{' WHERE queue_id = 'B'")

    stories = await store.reports.stories(MessageQuery())
    assert sorted((one.message.queue_id, one.message.subject, len(one.events)) for one in stories) == [
        ("A", "", 1),
        ("B", f"({integrity.UNREADABLE_MESSAGE})", 0),
    ]
    assert [message.queue_id for message, _ in await store.queue.entries(EntryQuery())] == ["A", "B"]


async def test_a_delivery_of_an_earlier_run_is_settled_without_a_damaged_content(opener: Opener) -> None:
    store = await opener(NOW)
    await store.queue.enqueue(accepted("A", "a@one.test"))
    [claimed] = await store.queue.claim(NOW, ROOMY)
    await change(store, "UPDATE contents SET content = ?", b"LIES")
    await store.close()

    later = await opener(NOW + 10)
    [left] = await later.queue.leased_by_previous_run([("A", 0)])
    assert left == replace(claimed, content=b"", damage=integrity.CHANGED)
    await later.queue.apply([settle(left, State.DELIVERED, NOW)])


LATE = {name: CHANGES[name] for name in ("one octet", "cut short", "empty", "digest", "no content")}


@pytest.mark.parametrize("case", LATE)
async def test_damage_of_a_content_that_was_left_in_the_store_is_found_when_it_is_copied(
    store: Store, tmp_path: Path, case: str
) -> None:
    await store.queue.enqueue(accepted("B"))
    sql, value, damage = LATE[case]
    with (tmp_path / "copy").open("w+b") as file:
        assert await store.queue.copy_content("B", file) == ""
        await change(store, sql, value)
        assert await store.queue.copy_content("B", file) == damage


async def test_there_is_no_copy_of_an_unknown_content(store: Store, tmp_path: Path) -> None:
    with (tmp_path / "copy").open("w+b") as file:
        assert await store.queue.copy_content("Z", file) == integrity.UNREADABLE_MESSAGE
