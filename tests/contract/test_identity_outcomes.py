"""The outcomes of identities by hour: nodes add to the same rows, old hours go, an operator makes them begin anew."""

from relay.limits.outcome_rates import OutcomeCounts
from relay.storage.store import Store
from tests.contract.conftest import Opener
from tests.contract.values import NOW

DAY = 86400.0


async def test_counts_are_summed_over_the_window(store: Store) -> None:
    add = store.outcomes.add
    assert await add({"a@x.test": OutcomeCounts(3, 1, 0)}, NOW, DAY) == {"a@x.test": OutcomeCounts(3, 1, 0)}
    assert await add({"a@x.test": OutcomeCounts(1, 1, 2)}, NOW + 1, DAY) == {"a@x.test": OutcomeCounts(4, 2, 2)}
    later = await add({"a@x.test": OutcomeCounts(1), "b@x.test": OutcomeCounts(9)}, NOW + 7200, DAY)
    assert later == {"a@x.test": OutcomeCounts(5, 2, 2), "b@x.test": OutcomeCounts(9)}
    assert await add({"a@x.test": OutcomeCounts(1)}, NOW + DAY + 3600, DAY) == {"a@x.test": OutcomeCounts(2)}


async def test_they_outlast_a_restart(opener: Opener) -> None:
    store = await opener(NOW)
    await store.outcomes.add({"a@x.test": OutcomeCounts(3, 1, 0)}, NOW, DAY)
    await store.close()
    store = await opener(NOW + 1)
    assert await store.outcomes.add({"a@x.test": OutcomeCounts()}, NOW + 1, DAY) == {"a@x.test": OutcomeCounts(3, 1, 0)}


async def test_forgotten_counts_begin_anew(store: Store) -> None:
    await store.outcomes.add({"a@x.test": OutcomeCounts(3, 3), "b@x.test": OutcomeCounts(1)}, NOW, DAY)
    await store.outcomes.forget("a@x.test")
    assert await store.outcomes.add({"a@x.test": OutcomeCounts(1), "b@x.test": OutcomeCounts(1)}, NOW, DAY) == {
        "a@x.test": OutcomeCounts(1),
        "b@x.test": OutcomeCounts(2),
    }
