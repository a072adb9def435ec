"""What every store counts for the report on engagement."""

from dataclasses import replace

import pytest

from relay.events.event import Event, Kind
from relay.queue.entry import State
from relay.queue.message import NewMessage
from relay.reports.ports import CampaignCounts, Click, EngagementStore, MessageQuery
from relay.storage.store import Store
from tests.contract.values import NOW, ROOMY, accepted, settle

MACHINE: dict[str, object] = {"client": "192.0.2.1", "machine": True, "reason": "bot"}

PROXY: dict[str, object] = {"client": "192.0.2.1", "proxied": True, "reason": "proxy: Gmail"}

LIAR: dict[str, object] = {"client": "192.0.2.1", "user_agent": 'x","machine":true,"', "target": "https://acme.test/"}


def mail(queue_id: str, campaign: str, *recipients: str) -> NewMessage:
    plain = accepted(queue_id, *recipients)
    policy = replace(plain.message.policy, domain="acme.test")
    return replace(plain, message=replace(plain.message, campaign=campaign, policy=policy))


@pytest.fixture
async def engagement(store: Store) -> EngagementStore:
    await store.queue.enqueue(mail("A", "spring", "a@x.test", "b@x.test", "c@x.test", "d@x.test"))
    await store.queue.enqueue(mail("B", "", "a@x.test"))
    for claimed in await store.queue.claim(NOW, ROOMY):
        await store.queue.apply([settle(claimed, State.DELIVERED, NOW)])
    await store.queue.enqueue(mail("C", "spring", "e@x.test"))
    notification = mail("D", "", "app@acme.test")
    await store.queue.enqueue(replace(notification, message=replace(notification.message, origin="dsn")))
    return store.reports


def did(kind: Kind, number: int, data: dict[str, object] | None = None, queue_id: str = "A") -> Event:
    return Event(kind, NOW, queue_id, number, data=data or {})


SPRING = CampaignCounts("spring", recipients=5, delivered=4)

OTHER = CampaignCounts("", recipients=1, delivered=1)


async def counted(engagement: EngagementStore, **query: object) -> dict[str, CampaignCounts]:
    found = await engagement.campaign_counts(MessageQuery(users_only=True, **query))  # type: ignore[arg-type]
    return {one.campaign: one for one in found}


async def test_recipients_are_counted_by_campaign_without_notifications(engagement: EngagementStore) -> None:
    assert await counted(engagement) == {"spring": SPRING, "": OTHER}


async def test_each_recipient_counts_once_and_machines_apart(store: Store, engagement: EngagementStore) -> None:
    await store.events.record(
        [
            did(Kind.OPEN, 0, LIAR),
            did(Kind.OPEN, 0),
            did(Kind.OPEN, 0, MACHINE),
            did(Kind.CLICK, 1, LIAR),
            did(Kind.CLICK, 1, LIAR),
            did(Kind.CLICK, 2, MACHINE),
            did(Kind.OPEN, 3, MACHINE),
            did(Kind.OPEN, 0, queue_id="B"),
        ]
    )
    assert await counted(engagement) == {
        "spring": replace(SPRING, opened=2, clicked=1, machine_opened=2, machine_clicked=1),
        "": replace(OTHER, opened=1),
    }


async def test_opens_by_a_proxy_count_only_without_one_of_a_person(store: Store, engagement: EngagementStore) -> None:
    await store.events.record(
        [
            did(Kind.OPEN, 0, PROXY),
            did(Kind.OPEN, 0, LIAR),
            did(Kind.OPEN, 1, PROXY),
            did(Kind.OPEN, 1, MACHINE),
            did(Kind.OPEN, 2, {**PROXY, "machine": True, "reason": "repeated"}),
            did(Kind.OPEN, 3, {"user_agent": 'x","proxied":true,"'}),
        ]
    )
    assert (await counted(engagement))["spring"] == replace(SPRING, opened=2, proxy_opened=1, machine_opened=1)


async def test_answers_departures_complaints_and_late_bounces(store: Store, engagement: EngagementStore) -> None:
    await store.events.record(
        [
            did(Kind.REPLY, 0),
            did(Kind.REPLY, 1, {"automatic": True}),
            did(Kind.UNSUBSCRIBE, 0, {"by": "page"}),
            did(Kind.UNSUBSCRIBE, 0, {"by": "one-click"}),
            did(Kind.COMPLAINT, 1),
            did(Kind.BOUNCED, 2, {"late": True}),
        ]
    )
    spring = replace(SPRING, replied=1, unsubscribed=1, complained=1, came_back=1)
    assert await counted(engagement) == {"spring": spring, "": OTHER}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"campaign_name": "spring"}, {"spring"}),
        ({"campaign": False}, {""}),
        ({"domain": "acme.test", "since": NOW}, {"spring", ""}),
        ({"domain": "other.test"}, set()),
        ({"until": NOW}, set()),
    ],
)
async def test_only_messages_that_match(engagement: EngagementStore, query: dict[str, object], found: set[str]) -> None:
    assert set(await counted(engagement, **query)) == found


async def test_clicks_of_people_are_read_newest_first(store: Store, engagement: EngagementStore) -> None:
    first = did(Kind.CLICK, 1, {"target": "https://a.test/"})
    await store.events.record([first, replace(did(Kind.CLICK, 0, LIAR), at=NOW + 1), did(Kind.CLICK, 2, MACHINE)])
    assert await engagement.clicks(MessageQuery()) == [
        Click("spring", "A", 0, "https://acme.test/"),
        Click("spring", "A", 1, "https://a.test/"),
    ]
    assert await engagement.clicks(MessageQuery(campaign_name="autumn")) == []
