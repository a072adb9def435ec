"""What every store does with entries that are active when their message is stored."""

import asyncio
import contextlib
from dataclasses import replace

from relay.queue.entry import State, move
from relay.queue.hand_over import with_active
from relay.queue.message import ClaimedBatch, NewMessage
from relay.queue.ports import EntryQuery
from relay.storage.store import Store
from tests.contract.conftest import Opener
from tests.contract.values import NOW, ROOMY, accepted, full_message, settle


def handed_over(new: NewMessage) -> tuple[NewMessage, ClaimedBatch]:
    batch = ClaimedBatch(new.message, new.content, tuple(move(one, State.ACTIVE) for one in new.entries))
    return with_active(new, [batch]), batch


async def states(store: Store) -> list[State]:
    found = await store.queue.entries(EntryQuery(states=tuple(State)))
    return [entry.state for _, entry in found]


async def test_they_are_leased_to_this_process_and_settled_like_claimed_ones(store: Store) -> None:
    new, batch = handed_over(accepted("Q1", "a@x.test", "b@x.test"))
    assert store.queue.can_lease
    await store.queue.enqueue(new)
    assert await store.queue.claim(NOW, ROOMY) == []
    assert await store.queue.next_due([]) is None
    await store.queue.apply([settle(batch, State.WAITING, NOW)])
    (claimed,) = await store.queue.claim(NOW, ROOMY)
    await store.queue.apply([settle(claimed, State.DELIVERED, NOW)])
    assert await states(store) == [State.DELIVERED] * 2
    assert await store.queue.content("Q1") is None


async def test_a_message_handed_over_is_the_one_that_a_claim_reads(store: Store) -> None:
    entries = accepted(full_message().queue_id, "a@x.test").entries
    new, batch = handed_over(NewMessage(full_message(), b"Subject: x\r\n\r\n", entries))
    await store.queue.enqueue(new)
    await store.queue.apply([settle(batch, State.WAITING, NOW)])
    (claimed,) = await store.queue.claim(NOW, ROOMY)
    assert (claimed.message, claimed.content, claimed.damage) == (batch.message, batch.content, "")


async def test_a_crash_returns_them_to_the_queue_as_uncertain(opener: Opener) -> None:
    store = await opener(NOW)
    new, _ = handed_over(accepted("Q1", "a@x.test"))
    await store.queue.enqueue(new)
    await store.close()
    store = await opener(NOW)
    left = await store.queue.leased_by_previous_run([("Q1", 0)])
    assert [entry.state for one in left for entry in one.entries] == [State.ACTIVE]
    assert await store.queue.recover(NOW, 1e6) == 1
    (claimed,) = await store.queue.claim(NOW, ROOMY)
    assert claimed.entries[0].uncertain


async def test_a_cancelled_enqueue_leaves_nothing_active(store: Store) -> None:
    """Whether the message was stored depends on the moment; an entry that was stored can be claimed."""
    for number in range(8):
        new, batch = handed_over(accepted(f"Q{number}", "a@x.test"))
        enqueuing = asyncio.create_task(store.queue.enqueue(new))
        await asyncio.sleep(0.001 * number)
        enqueuing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await enqueuing
            # It was stored before the cancellation: then it is in flight, and settled.
            await store.queue.apply([settle(batch, State.DELIVERED, NOW)])
    # A transaction that began may end later; operations take effect in their order.
    await store.queue.enqueue(accepted("Q9", "a@x.test"))
    claimed = {one.message.queue_id for _ in range(2) for one in await store.queue.claim(NOW, ROOMY)}
    found = await store.queue.entries(EntryQuery(states=(State.ACTIVE, State.WAITING)))
    assert claimed == {entry.queue_id for _, entry in found}


async def test_a_failed_enqueue_leaves_nothing_active(store: Store) -> None:
    """The queue id is taken: the transaction fails, and with it the entries."""
    await store.queue.enqueue(accepted("Q1", "a@x.test"))
    new, _ = handed_over(accepted("Q1", "b@y.test"))
    with contextlib.suppress(Exception):
        await store.queue.enqueue(replace(new, events=()))
    (claimed,) = await store.queue.claim(NOW, ROOMY)
    assert [entry.recipient for entry in claimed.entries] == ["a@x.test"]
