"""Who gets nothing of a message: both lists over a real store."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.storage.sqlite.store import SqliteStore
from relay.suppression.exclusion import Exclusion, ExclusionScope
from relay.suppression.model import Suppression
from relay.suppression.unsubscribes import Unsubscribe

NOW = 1_800_000_000.0


SPRING = ExclusionScope("acme.test", "spring")


@pytest.fixture
async def exclusion(tmp_path: Path) -> AsyncIterator[Exclusion]:
    store = await SqliteStore.open(tmp_path / "relay.db", now=NOW)
    await store.unsubscribes.add(
        [
            Unsubscribe("u@x.test", "acme.test", "spring", "page"),
            Unsubscribe("v@x.test", "acme.test", "", "operator"),
            Unsubscribe("w@x.test", "other.test", "spring", "reply"),
        ]
    )
    yield Exclusion(store.suppressions, store.unsubscribes)
    await store.close()


async def excluded(exclusion: Exclusion, mailing: ExclusionScope) -> dict[str, str]:
    return dict(await exclusion.reasons(["U@X.test", "v@x.test", "w@x.test"], mailing, NOW))


async def test_the_same_campaign_of_the_same_domain(exclusion: Exclusion) -> None:
    assert await excluded(exclusion, SPRING) == {
        "u@x.test": 'unsubscribed from campaign "spring" of acme.test (page)',
        "v@x.test": "unsubscribed from all campaign mail of acme.test (operator)",
    }


async def test_another_campaign(exclusion: Exclusion) -> None:
    assert set(await excluded(exclusion, ExclusionScope("acme.test", "autumn"))) == {"v@x.test"}
    assert set(await excluded(exclusion, ExclusionScope("acme.test", "autumn", everywhere=True))) == {
        "u@x.test",
        "v@x.test",
    }
    assert set(await excluded(exclusion, ExclusionScope("else.test", "spring", everywhere=True))) == set()


async def test_transactional_mail_is_never_excluded_by_an_unsubscribe(exclusion: Exclusion) -> None:
    assert await excluded(exclusion, ExclusionScope("acme.test")) == {}
    assert await excluded(exclusion, ExclusionScope("acme.test", everywhere=True)) == {}


async def test_who_is_on_both_lists_is_suppressed(exclusion: Exclusion) -> None:
    await exclusion.suppressions.add([Suppression("u@x.test")])
    assert (await excluded(exclusion, SPRING))["u@x.test"] == "suppressed: manual"
    assert await excluded(exclusion, ExclusionScope("acme.test")) == {"u@x.test": "suppressed: manual"}
