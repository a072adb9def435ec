"""What every store must do with rates of sites: keep them over a restart, and let the nodes share them."""

from dataclasses import replace

from relay.queue.site_rate import SavedRate, SiteRate
from relay.storage.store import Store
from tests.contract.conftest import Opener
from tests.contract.values import NOW

RATE = SiteRate(20.0, NOW, 5, 12.5, 2, NOW + 1, NOW + 11, is_estimate=True, blocked=True, why="421 slow \udcff")

STORED = replace(RATE, why="421 slow ?")


async def test_rates_outlast_a_restart(opener: Opener) -> None:
    store = await opener(NOW)
    await store.sites.save([SavedRate("mx.test", RATE, 0.0), SavedRate("address 192.0.2.1", RATE, 0.0)])
    await store.close()
    store = await opener(NOW + 1)
    assert await store.sites.rates() == {"mx.test": STORED, "address 192.0.2.1": STORED}
    await store.sites.save([SavedRate("mx.test", None, 0.0)])
    assert list(await store.sites.rates()) == ["address 192.0.2.1"]


async def test_the_use_of_all_nodes_since_a_cut_adds_up(store: Store) -> None:
    await store.sites.save([SavedRate("mx.test", STORED, 0.0)])
    for use in (3.0, 4.0):
        await store.sites.save([SavedRate("mx.test", replace(STORED, used=12.5 + use, refusals=0), use)])
    assert await store.sites.rates() == {"mx.test": replace(STORED, used=19.5, refusals=0)}


async def test_a_later_cut_counts_and_begins_its_own_use(store: Store) -> None:
    await store.sites.save([SavedRate("mx.test", STORED, 0.0)])
    later = replace(STORED, found=8.0, cut_at=NOW + 90, changed_at=NOW + 90, used=0.0)
    await store.sites.save([SavedRate("mx.test", later, 0.0)])
    await store.sites.save([SavedRate("mx.test", replace(STORED, used=99.0), 5.0)])
    assert await store.sites.rates() == {"mx.test": later}


async def test_a_clock_that_is_set_back_leaves_no_rate_in_the_future(store: Store) -> None:
    await store.sites.save([SavedRate("mx.test", replace(STORED, not_before=NOW + 4000), 0.0)])
    await store.queue.shift_clock(NOW - 3600, -3600, 3600.0, 86400.0)
    (rate,) = (await store.sites.rates()).values()
    assert (rate.cut_at, rate.changed_at, rate.not_before) == (NOW - 3600, NOW - 3600, NOW - 2700)
