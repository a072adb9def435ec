"""A queue store under a clock that is set: no mail ages by it, and none waits for it."""

from dataclasses import replace

from relay.queue.claim_limits import ClaimLimits
from relay.queue.entry import State
from relay.queue.message import NewMessage
from relay.queue.ports import EntryQuery
from relay.storage.store import Store
from tests.contract.conftest import Opener
from tests.contract.values import CONTENT, NOW, accepted, claim, entry, ids, settle


async def test_a_backward_clock_does_not_stop_new_mail(store: Store) -> None:
    for n in range(3):
        await store.queue.enqueue(accepted(f"A{n}"))
    await claim(store, room=ClaimLimits(1, 1 << 20, 1, {}))
    yesterday = NOW - 86_400
    await store.queue.enqueue(accepted("B", due=yesterday, at=yesterday))
    assert ids(await claim(store, yesterday)) == [("B", 0)]
    assert ids(await claim(store)) == [("A1", 0), ("A2", 0)]


async def test_a_restart_clamps_waits_a_backward_clock_made_too_long(opener: Opener) -> None:
    store = await opener(NOW)
    await store.queue.enqueue(accepted("A"))
    released = replace(entry("B", due=NOW + 9e5), release_at=NOW + 9e5)
    await store.queue.enqueue(NewMessage(accepted("B").message, CONTENT, (released,)))
    [claimed] = await claim(store)
    await store.queue.apply([settle(claimed, State.WAITING, NOW, due=NOW + 600)])
    await store.close()
    past = NOW - 86_400
    later = await opener(past)
    await later.queue.recover(past, 7200.0)
    states = {one.queue_id: one.next_attempt_at for _, one in await later.queue.entries(EntryQuery())}
    assert states == {"A": past + 7200, "B": NOW + 9e5}
    assert await later.queue.next_due([]) == past + 7200
    await later.close()


DAYS = 86_400.0


async def expiries(store: Store) -> dict[str, float]:
    return {one.queue_id: one.expires_at for _, one in await store.queue.entries(EntryQuery())}


async def test_a_clock_set_forward_ages_no_mail_and_set_back_keeps_none_waiting(store: Store) -> None:
    await store.queue.enqueue(accepted("A"))
    await store.queue.enqueue(accepted("B"))
    [first, _] = await claim(store)
    await store.queue.apply([settle(first, State.WAITING, NOW, due=NOW + 600)])
    later = NOW + 10 + 3 * DAYS
    await store.queue.enqueue(accepted("NEW", at=later, due=later))
    await store.queue.shift_clock(later, 3 * DAYS, 7200.0, 3 * DAYS)
    assert await expiries(store) == {"A": NOW + 6 * DAYS, "B": NOW + 6 * DAYS, "NEW": later + 3 * DAYS}

    [again] = [one for one in await claim(store, later) if one.message.queue_id == "A"]
    await store.queue.apply([settle(again, State.WAITING, later, due=later + 600)])
    await store.queue.shift_clock(NOW + 20, -3 * DAYS, 7200.0, 3 * DAYS)
    assert await expiries(store) == dict.fromkeys(("A", "B", "NEW"), NOW + 20 + 3 * DAYS)
    assert await store.queue.next_due([]) == NOW + 20 + 7200


async def test_a_clock_set_back_by_mistake_and_forward_again_ages_no_mail(store: Store) -> None:
    """For a while the times of acceptance lie in the future."""
    await store.queue.enqueue(accepted("A"))
    await store.queue.shift_clock(NOW - 9 * DAYS, -9 * DAYS, 7200.0, 3 * DAYS)
    assert await expiries(store) == {"A": NOW - 6 * DAYS}
    await store.queue.shift_clock(NOW - 4 * DAYS, 5 * DAYS, 7200.0, 3 * DAYS)
    assert await expiries(store) == {"A": NOW - 1 * DAYS}
    await store.queue.shift_clock(NOW + 60, 4 * DAYS, 7200.0, 3 * DAYS)
    assert await expiries(store) == {"A": NOW + 3 * DAYS}


async def test_a_clock_that_is_set_moves_no_release_somebody_asked_for(store: Store) -> None:
    release_at = NOW + 10 * DAYS
    held_back = replace(entry("A", due=release_at), release_at=release_at, expires_at=release_at + 3 * DAYS)
    await store.queue.enqueue(NewMessage(accepted("A").message, CONTENT, (held_back,)))
    await store.queue.shift_clock(NOW - DAYS, -DAYS, 7200.0, 3 * DAYS)
    [(_, found)] = await store.queue.entries(EntryQuery())
    assert found == held_back
    assert await store.queue.next_due([]) == release_at


async def test_mail_accepted_under_a_clock_that_ran_ahead_is_not_kept_until_then(store: Store) -> None:
    """Not tried yet, it was due when it came; that it came years from now only the clock said."""
    ahead = NOW + 1000 * DAYS
    await store.queue.enqueue(accepted("A", at=ahead, due=ahead))
    await store.queue.shift_clock(NOW, -1000 * DAYS, 7200.0, 3 * DAYS)
    assert await store.queue.next_due([]) == NOW + 7200
