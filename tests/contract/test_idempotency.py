"""An idempotency key is written with its message, or not at all."""

import asyncio
from dataclasses import replace

import pytest

from relay.queue.entry import State
from relay.queue.message import SubmissionKey
from relay.queue.ports import EntryQuery, RepeatedError
from relay.storage.store import Store
from relay.submission.ports import FirstSubmission
from tests.contract.conftest import Opener
from tests.contract.values import NOW, accepted

KEY = SubmissionKey("shop", "k1", "r1", NOW - 86400)


async def stored(store: Store) -> set[str]:
    found = await store.queue.entries(EntryQuery(states=tuple(State)))
    return {message.queue_id for message, _ in found}


async def test_a_second_message_with_the_key_is_not_stored(opener: Opener) -> None:
    store = await opener(NOW)
    await store.queue.enqueue(replace(accepted("Q1", "a@x.test"), key=KEY))
    with pytest.raises(RepeatedError):
        await store.queue.enqueue(replace(accepted("Q2", "a@x.test"), key=replace(KEY, request="r2")))
    await store.close()
    store = await opener(NOW)
    assert await store.submissions.first("shop", "k1", NOW - 86400) == FirstSubmission("Q1", "r1")
    assert await store.submissions.first("other", "k1", NOW - 86400) is None
    assert await stored(store) == {"Q1"}


async def test_of_many_at_once_one_is_stored_and_others_of_the_transaction_stay(store: Store) -> None:
    same = [replace(accepted(f"Q{number}", "a@x.test"), key=KEY) for number in range(8)]
    others = [accepted(f"R{number}", "b@x.test") for number in range(8)]
    results = await asyncio.gather(
        *(store.queue.enqueue(one) for pair in zip(same, others, strict=True) for one in pair), return_exceptions=True
    )
    assert sum(isinstance(one, RepeatedError) for one in results) == 7
    assert sum(one is True for one in results) == 9
    assert len(await stored(store)) == 9


async def test_a_key_ends_and_is_purged(store: Store) -> None:
    await store.queue.enqueue(replace(accepted("Q1", "a@x.test"), key=KEY))
    later = replace(KEY, request="r2", valid_since=NOW + 1)
    assert await store.submissions.first("shop", "k1", later.valid_since) is None
    await store.queue.enqueue(replace(accepted("Q2", "a@x.test"), key=later))
    assert await store.submissions.first("shop", "k1", 0.0) == FirstSubmission("Q2", "r2")
    await store.submissions.purge(NOW + 1e6)
    assert await store.submissions.first("shop", "k1", 0.0) is None
