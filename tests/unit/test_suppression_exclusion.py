"""Who gets nothing of a message: both lists over a real store."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.config.senders import Exclusions, UnsubscribeScope
from relay.storage.sqlite.store import SqliteStore
from relay.suppression.exclusion import Exclusion, ExclusionScope
from relay.suppression.model import Suppression
from relay.suppression.unsubscribes import Unsubscribe, excludes_from

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
    found = await exclusion.check(["U@X.test", "v@x.test", "w@x.test"], mailing, "A", NOW)
    assert not found.testers
    return dict(found.reasons)


async def test_the_same_campaign_of_the_same_domain(exclusion: Exclusion) -> None:
    assert await excluded(exclusion, SPRING) == {
        "u@x.test": 'unsubscribed from campaign "spring" of acme.test (page)',
        "v@x.test": "unsubscribed from all campaign mail of acme.test (operator)",
    }


@pytest.mark.parametrize(
    ("reaches", "domain", "campaign", "whom"),
    [
        ({}, "acme.test", "autumn", "v"),
        ({"acme.test": "domain"}, "acme.test", "autumn", "uv"),
        ({"acme.test": "domain"}, "other.test", "spring", "w"),
        ({"acme.test": "domain"}, "else.test", "spring", ""),
        ({"acme.test": "global"}, "acme.test", "autumn", "uvw"),
        ({"acme.test": "global"}, "else.test", "winter", "uv"),
        ({"acme.test": "global"}, "other.test", "spring", "uvw"),
        ({"else.test": "global"}, "else.test", "winter", "uvw"),
        ({"else.test": "global"}, "acme.test", "autumn", "v"),
    ],
)
async def test_the_reach_of_an_unsubscribe(
    exclusion: Exclusion, reaches: dict[str, UnsubscribeScope], domain: str, campaign: str, whom: str
) -> None:
    """It is the wider one of the mail's domain and of the domain that the address left."""
    mailing = ExclusionScope(domain, campaign, Exclusions(reaches))
    assert set(await excluded(exclusion, mailing)) == {f"{name}@x.test" for name in whom}


async def test_without_a_section_a_domain_has_the_reach_of_the_defaults(exclusion: Exclusion) -> None:
    narrow = Exclusions({"acme.test": "campaign"}, "global")
    assert set(await excluded(exclusion, ExclusionScope("acme.test", "autumn", narrow))) == {"v@x.test", "w@x.test"}
    assert set(await excluded(exclusion, ExclusionScope("else.test", "autumn", narrow))) == {
        "u@x.test",
        "v@x.test",
        "w@x.test",
    }


async def test_the_reason_names_the_setting_that_reaches_further(exclusion: Exclusion) -> None:
    mailing = ExclusionScope("acme.test", "autumn", Exclusions({"acme.test": "domain", "other.test": "global"}))
    assert await excluded(exclusion, mailing) == {
        "u@x.test": 'unsubscribed from campaign "spring" of acme.test (page); exclusion of acme.test is "domain"',
        "v@x.test": "unsubscribed from all campaign mail of acme.test (operator)",
        "w@x.test": 'unsubscribed from campaign "spring" of other.test (reply); exclusion of other.test is "global"',
    }


@pytest.mark.parametrize(
    ("domain", "campaign", "scope"),
    [
        ("acme.test", "spring", "domain"),
        ("acme.test", "", "domain"),
        ("other.test", "spring", "global"),
        ("else.test", "spring", "campaign"),
        ("else.test", "", "domain"),
        ("", "spring", "campaign"),
        ("", "", "global"),
    ],
)
def test_what_a_row_excludes_from(domain: str, campaign: str, scope: UnsubscribeScope) -> None:
    exclusions = Exclusions({"acme.test": "domain", "other.test": "global"})
    assert excludes_from(Unsubscribe("u@x.test", domain, campaign), exclusions) == scope


async def test_transactional_mail_is_never_excluded_by_an_unsubscribe(exclusion: Exclusion) -> None:
    assert await excluded(exclusion, ExclusionScope("acme.test")) == {}
    assert await excluded(exclusion, ExclusionScope("acme.test", exclusions=Exclusions(unlisted="global"))) == {}


async def test_who_is_on_both_lists_is_suppressed(exclusion: Exclusion) -> None:
    await exclusion.suppressions.add([Suppression("u@x.test")])
    assert (await excluded(exclusion, SPRING))["u@x.test"] == "suppressed: manual"
    assert await excluded(exclusion, ExclusionScope("acme.test")) == {"u@x.test": "suppressed: manual"}


async def test_one_due_message_tests_an_address_whose_suppression_ended_and_the_others_wait(
    exclusion: Exclusion,
) -> None:
    await exclusion.suppressions.add([Suppression("w@x.test", reason="mailbox_full", expires_at=NOW - 1)])

    async def testers(queue_id: str, *, due: bool = True) -> dict[str, str]:
        found = await exclusion.check(["W@x.test"], SPRING, queue_id, NOW, due=due)
        assert not found.reasons
        return dict(found.testers)

    assert await testers("A", due=False) == {}
    assert await testers("B") == {}
    assert await testers("C") == {"w@x.test": "B"}
    found = await exclusion.check(["W@x.test"], SPRING, "C", NOW)
    assert found.waits_for("w@x.test") == "the suppression of the address ended: waits for the result of B"
    assert found.waits_for("u@x.test") == ""


async def test_who_unsubscribed_tests_nothing(exclusion: Exclusion) -> None:
    await exclusion.suppressions.add([Suppression("u@x.test", reason="mailbox_full", expires_at=NOW - 1)])
    assert set(await excluded(exclusion, SPRING)) == {"u@x.test", "v@x.test"}
    assert (await exclusion.check(["u@x.test"], ExclusionScope("acme.test"), "B", NOW)).testers == {}
