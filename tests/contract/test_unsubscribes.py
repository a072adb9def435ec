"""What every store does with unsubscribes: events and list agree, scopes are respected, the first time counts."""

from dataclasses import replace

import pytest

from relay.events.event import Event, Kind
from relay.queue.entry import State
from relay.queue.message import NewMessage, ReturnedMail
from relay.storage.store import Store
from relay.suppression.ports import UnsubscribeQuery, UnsubscribeStore
from relay.suppression.unsubscribes import CampaignRecipient, Unsubscribe
from tests.contract.conftest import Opener
from tests.contract.values import NOW, ROOMY, accepted, settle

SPRING = Unsubscribe("u@x.test", "acme.test", "spring", "page", "A", NOW)

TOKEN = Event(Kind.UNSUBSCRIBE, NOW, "A", 0, data={"id": "1", "by": "page"})


@pytest.fixture
def unsubscribes(store: Store) -> UnsubscribeStore:
    return store.unsubscribes


def campaign_mail(queue_id: str, *recipients: str, campaign: str = "spring") -> NewMessage:
    plain = accepted(queue_id, *recipients)
    policy = replace(plain.message.policy, domain="acme.test")
    return replace(plain, message=replace(plain.message, campaign=campaign, policy=policy))


async def test_an_unsubscribe_event_and_its_list_entry_are_one(store: Store, unsubscribes: UnsubscribeStore) -> None:
    await store.queue.enqueue(campaign_mail("A", "U@X.test"))
    (told,) = await store.events.record([TOKEN])
    assert (told.address, told.data["domain"], told.data["campaign"]) == ("U@X.test", "acme.test", "spring")
    assert await unsubscribes.listed(["u@X.test"]) == {"u@x.test": [SPRING]}
    assert await unsubscribes.find(UnsubscribeQuery()) == [SPRING]


async def test_a_token_identifies_its_reader_while_the_message_is_stored(
    store: Store, unsubscribes: UnsubscribeStore
) -> None:
    await store.queue.enqueue(campaign_mail("A", "U@X.test", "v@x.test"))
    reader = CampaignRecipient("v@x.test", "acme.test", "spring")
    assert [await unsubscribes.recipient("A", number) for number in (1, 2)] == [reader, None]
    assert await unsubscribes.recipient("C", 0) is None


async def test_it_does_not_matter_who_records_the_event(store: Store, unsubscribes: UnsubscribeStore) -> None:
    await store.queue.enqueue(campaign_mail("A", "u@x.test"))
    by_mail = replace(TOKEN, address="u@x.test", data={"by": "reply"})
    await store.events.record_returned([ReturnedMail(by_mail)])
    assert await unsubscribes.find(UnsubscribeQuery()) == [replace(SPRING, source="reply")]


async def test_of_one_batch_the_first_event_counts_whatever_its_queue_id(
    store: Store, unsubscribes: UnsubscribeStore
) -> None:
    for queue_id in ("A", "B"):
        await store.queue.enqueue(campaign_mail(queue_id, "u@x.test"))
    first = replace(TOKEN, queue_id="B", data={"id": "1", "by": "one-click"})
    await store.events.record([first, replace(TOKEN, at=NOW + 300, data={"id": "2", "by": "page"})])
    assert await unsubscribes.find(UnsubscribeQuery()) == [replace(SPRING, source="one-click", queue_id="B")]


async def test_the_first_time_counts(store: Store, unsubscribes: UnsubscribeStore) -> None:
    await store.queue.enqueue(campaign_mail("A", "u@x.test"))
    await store.events.record([TOKEN, replace(TOKEN, at=NOW + 1)])
    await store.events.record([replace(TOKEN, at=NOW + 2, data={"by": "one-click"})])
    assert await unsubscribes.find(UnsubscribeQuery()) == [SPRING]


async def test_an_event_of_an_unknown_message_is_kept_and_says_so(store: Store, unsubscribes: UnsubscribeStore) -> None:
    (told,) = await store.events.record([TOKEN])
    assert (told.address, told.data["joined"]) == ("", False)
    assert await unsubscribes.find(UnsubscribeQuery()) == []
    named = replace(TOKEN, address="u@x.test", data={"by": "reply", "domain": "acme.test", "campaign": "spring"})
    (told,) = await store.events.record([named])
    assert "joined" not in told.data
    assert await unsubscribes.find(UnsubscribeQuery()) == [replace(SPRING, source="reply")]


async def test_other_events_put_nobody_on_the_list(store: Store, unsubscribes: UnsubscribeStore) -> None:
    await store.queue.enqueue(campaign_mail("A", "u@x.test"))
    await store.events.record([Event(Kind.OPEN, NOW, "A", 0), Event(Kind.COMPLAINT, NOW, "A", 0)])
    assert await unsubscribes.find(UnsubscribeQuery()) == []


async def test_all_rows_of_an_address_are_found_the_oldest_first(unsubscribes: UnsubscribeStore) -> None:
    rows = [
        replace(SPRING, domain="other.test", created_at=NOW - 5),
        SPRING,
        replace(SPRING, campaign="", created_at=NOW + 5),
    ]
    await unsubscribes.add([rows[1], rows[2], rows[0], replace(SPRING, address="w@x.test")])
    assert await unsubscribes.listed(["U@x.test", "v@x.test"]) == {"u@x.test": rows}


async def test_taking_off_the_list(unsubscribes: UnsubscribeStore) -> None:
    entries = [SPRING, replace(SPRING, campaign="autumn"), replace(SPRING, domain="other.test")]
    await unsubscribes.add(entries)
    assert await unsubscribes.remove(["U@x.test", "v@x.test"], "acme.test", "autumn") == [entries[1]]
    assert await unsubscribes.remove(["u@x.test"], "acme.test", "autumn") == []
    assert entries[1] not in (await unsubscribes.listed(["u@x.test"]))["u@x.test"]
    assert await unsubscribes.remove(["u@x.test"], "acme.test", None) == [SPRING]
    assert await unsubscribes.find(UnsubscribeQuery()) == [entries[2]]
    await unsubscribes.add(entries)
    assert sorted(await unsubscribes.remove(["u@x.test"], None, "spring"), key=str) == [entries[0], entries[2]]
    assert await unsubscribes.remove(["u@x.test"], None, None) == [entries[1]]


async def test_the_list_is_read_page_by_page(unsubscribes: UnsubscribeStore) -> None:
    many = [
        replace(SPRING, address=f"u{number}@x.test", campaign=campaign)
        for number in range(3)
        for campaign in ("autumn", "spring")
    ]
    await unsubscribes.add(many)
    first = await unsubscribes.find(UnsubscribeQuery(limit=3))
    last = first[-1]
    rest = await unsubscribes.find(UnsubscribeQuery(after=(last.address, last.domain, last.campaign)))
    assert [*first, *rest] == many
    assert await unsubscribes.find(UnsubscribeQuery(address="U1@x.test", campaign="spring")) == [many[3]]
    assert await unsubscribes.find(UnsubscribeQuery(source="import")) == []
    found = await unsubscribes.listed([f"u{number}@x.test" for number in range(2000)])
    assert [len(one) for one in found.values()] == [2, 2, 2]


async def test_the_list_holds_after_a_restart_and_when_stories_are_forgotten(opener: Opener) -> None:
    store = await opener(NOW)
    await store.queue.enqueue(campaign_mail("A", "u@x.test"))
    await store.events.record([TOKEN])
    await store.queue.apply([settle(one, State.DELIVERED, NOW) for one in await store.queue.claim(NOW, ROOMY)])
    assert await store.queue.purge(NOW + 1) == 1
    await store.close()
    store = await opener(NOW)
    assert await store.unsubscribes.listed(["u@x.test"]) == {"u@x.test": [SPRING]}
    await store.close()


async def test_every_spelling_of_an_address_is_the_one_on_the_list(unsubscribes: UnsubscribeStore) -> None:
    await unsubscribes.add([replace(SPRING, address='"U"@X.test.')])
    found = await unsubscribes.listed(["u@x.test", '"u"@x.test', "u@X.test."])
    assert found == {"u@x.test": [SPRING]}


async def test_a_row_of_a_version_before_is_found_by_its_spelling(opener: Opener) -> None:
    store = await opener(NOW)
    await store.unsubscribes.add([replace(SPRING, address="u@xn--bcher-kva.test")])
    await store.database.write(lambda raw: raw.execute("UPDATE unsubscribes SET address = 'u@bücher.test'"))
    await store.close()
    unsubscribes = (await opener(NOW)).unsubscribes
    assert set(await unsubscribes.listed(["U@Bücher.test"])) == {"u@xn--bcher-kva.test"}
    assert len(await unsubscribes.find(UnsubscribeQuery(address="u@bücher.test"))) == 1
    assert len(await unsubscribes.remove(["u@bücher.test"], "acme.test", "spring")) == 1
