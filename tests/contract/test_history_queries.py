"""What a store finds of its messages and entries, by every field, in every spelling, and page by page."""

from dataclasses import replace

import pytest

from relay.queue.entry import State
from relay.queue.ports import EntryQuery
from relay.render.message_policy import MessagePolicy
from relay.reports.ports import MessageQuery
from relay.storage.store import Store
from tests.contract.values import NOW, ROOMY, accepted, found, with_message


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


async def test_pages_of_stories_go_on_where_the_last_one_ended(store: Store) -> None:
    for place, queue_id in enumerate(("A", "B", "C", "D")):
        await store.queue.enqueue(accepted(queue_id, at=NOW + place // 2))
    query, seen = MessageQuery(limit=1), []
    while page := await store.reports.stories(query):
        (story,) = page
        seen.append(story.message.queue_id)
        query = replace(query, before=(story.message.created_at, story.message.queue_id))
    assert seen == ["D", "C", "B", "A"]
