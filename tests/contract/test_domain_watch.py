"""What every store does for the watch over sending domains: one row a domain, each look claimed by one."""

from dataclasses import replace

import pytest

from relay.domains.records import DkimKey
from relay.domains.status import ConfiguredDomain, DomainStatus, FoundRecord
from relay.storage.domains import DomainWatchTable
from relay.storage.store import Store
from tests.contract.conftest import NOW, Opener

KEY = DkimKey("s1", "v=DKIM1; k=rsa; p=AAAA")

ACME, OTHER = ConfiguredDomain("acme.test", "a", (KEY,)), ConfiguredDomain("other.test", "b")


@pytest.fixture
def table(store: Store) -> DomainWatchTable:
    return store.domains


async def test_what_is_watched_is_kept_over_a_restart(opener: Opener) -> None:
    first = await opener(NOW)
    watched = await first.domains.watch_domains([ACME], NOW)
    assert [(one.domain, one.next_check_at, one.keys[0].signing) for one in watched] == [("acme.test", NOW, True)]
    seen = replace(watched[0], health="failing", health_since=NOW + 1, statuses={"TXT x": "wrong"}, checked_at=NOW + 1)
    seen = replace(seen, found={"TXT x": FoundRecord(("v=spf1 -all", "\u00fc"), "another one")})
    assert await first.domains.save_check(seen)
    await first.close()
    again = (await opener(NOW + 9)).domains
    assert await again.watched_domains() == [seen]
    assert await again.watch_domains([ACME], NOW + 9) == [seen]


async def test_other_records_begin_the_watch_anew(table: DomainWatchTable) -> None:
    (before,) = await table.watch_domains([ACME], NOW)
    await table.claim_domains(["acme.test"], NOW, NOW + 600)
    (after,) = await table.watch_domains([replace(ACME, wanted="c")], NOW + 60)
    assert after == replace(before, wanted="c", set_up_at=NOW + 60, next_check_at=NOW + 60)
    assert not await table.save_check(replace(before, health="failing"))
    assert await table.watched_domains() == [after]


async def test_a_look_is_claimed_once_until_its_lease_ends(table: DomainWatchTable) -> None:
    await table.watch_domains([ACME, OTHER], NOW)
    names = ["acme.test", "other.test", "unknown.test"]
    assert not await table.claim_domains(names, NOW - 1, NOW + 600)
    assert [one.domain for one in await table.claim_domains(names[1:], NOW, NOW + 600)] == ["other.test"]
    assert [one.domain for one in await table.claim_domains(names, NOW, NOW + 600)] == ["acme.test"]
    assert not await table.claim_domains(names, NOW + 599, NOW + 1200)
    assert len(await table.claim_domains(names, NOW + 600, NOW + 1200)) == 2


async def test_a_domain_can_be_made_due(table: DomainWatchTable) -> None:
    await table.watch_domains([ACME], NOW)
    await table.claim_domains(["acme.test"], NOW, NOW + 600)
    assert await table.schedule_check("acme.test", NOW + 5)
    assert not await table.schedule_check("unknown.test", NOW + 5)
    assert len(await table.claim_domains(["acme.test"], NOW + 5, NOW + 600)) == 1


async def test_a_domain_is_verified_while_dns_shows_a_key_that_signs(table: DomainWatchTable) -> None:
    acme: DomainStatus
    acme, _ = await table.watch_domains([ACME, OTHER], NOW)
    assert await table.verified_domains() == frozenset()
    shown = replace(acme, keys=(replace(acme.keys[0], shown_since=NOW),))
    await table.save_check(shown)
    assert await table.verified_domains() == {"acme.test"}
    await table.save_check(acme)
    assert await table.verified_domains() == frozenset()


async def test_hosts_that_answered_are_remembered_over_a_restart(opener: Opener) -> None:
    first = await opener(NOW)
    await first.domains.host_answered("https://t.acme.test", NOW)
    await first.domains.host_answered("https://t.acme.test", NOW + 1)
    await first.close()
    assert await (await opener(NOW + 9)).domains.answering_hosts() == {"https://t.acme.test"}
