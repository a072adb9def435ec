"""What every store keeps of simulated mail: copies as they would have left, read in pages of a size."""

from relay.queue.sent_copies import ALL, BEFORE_ALL, ORIGINAL, SentCopy
from relay.storage.store import Store
from tests.contract.conftest import NOW
from tests.contract.values import accepted


def copy(number: int, octets: int = 10) -> SentCopy:
    return SentCopy("A", number, NOW, "a@acme.test", bytes([number % 256]) * octets)


async def numbers(store: Store, after: int, octets: int) -> tuple[list[int], bool]:
    found, has_more = await store.sent_copies.copies_page("A", after, octets)
    assert all(one == copy(one.number, len(one.content)) for one in found)
    return [one.number for one in found], has_more


async def test_a_page_has_the_copies_that_fit_and_at_least_one(store: Store) -> None:
    await store.queue.enqueue(accepted("A", "u@x.test", "v@x.test", "w@x.test"))
    assert await numbers(store, BEFORE_ALL, 100) == ([], False)
    for one in (copy(ORIGINAL), copy(ALL), copy(0), copy(1, 1000), copy(2)):
        await store.sent_copies.keep(one)
    assert await numbers(store, BEFORE_ALL, 20) == ([ALL, 0], True)
    assert await numbers(store, 0, 20) == ([1], True), "one that is larger than a page is a page of its own"
    assert await numbers(store, 1, 20) == ([2], False)
    assert await numbers(store, 2, 20) == ([], False)
    assert await numbers(store, BEFORE_ALL, 10_000) == ([ALL, 0, 1, 2], False)
