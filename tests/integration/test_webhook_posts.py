"""Posts of webhooks over a real store to a real receiver: which events, in which order, and none missed."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from relay.events.event import Event, Kind
from relay.storage.sqlite.store import SqliteStore
from relay.webhooks.feed import FeedPage, Position
from relay.webhooks.progress import Replay
from relay.webhooks.signing import parse_key, verify_standard
from tests.contract.values import NOW
from tests.servers.webhook_harness import SECRET, WebhookHarness, enqueue, invoice, receiver, store
from tests.servers.webhook_receiver import Receiver, Reply

__all__ = ["receiver", "store"]


async def test_each_event_is_posted_once_in_order_and_signed(store: SqliteStore, receiver: Receiver) -> None:
    async with WebhookHarness(store, receiver.url).posting() as harness:
        await harness.store_events(Kind.DELIVERED, Kind.OPEN, reply="250 2.0.0 OK", status="2.0.0", attempt=1)
        await harness.rounds()
        await harness.rounds()
    assert receiver.types() == ["message.delivered", "message.open"]
    for post in receiver.posts:
        headers = {name.lower(): value for name, value in post.headers.items()}
        assert verify_standard([parse_key(SECRET)], headers, post.body, NOW) == ""
        assert post.json["data"]["metadata"] == {"invoice": "1042"}
        assert post.json["data"]["id"] == post.id
    assert len({post.id for post in receiver.posts}) == 2


async def test_a_new_webhook_begins_now_and_one_that_ran_goes_on(store: SqliteStore, receiver: Receiver) -> None:
    harness = WebhookHarness(store, receiver.url)
    async with harness.posting():
        await harness.rounds()
        await harness.store_events(Kind.OPEN)
        await harness.rounds()
        await harness.sender.cursor.sync()
    await harness.store_events(Kind.CLICK, target="https://acme.test/")
    async with harness.posting():
        await harness.rounds()
    assert receiver.types() == ["message.open", "message.click"]


async def test_filters_choose_by_kind_label_sender_and_machine(store: SqliteStore, receiver: Receiver) -> None:
    await enqueue(store, invoice("Q2", campaign="spring", tags=("news",)))
    keys: dict[str, Any] = {
        "events": ["open"],
        "campaigns": ["spring"],
        "tags": ["news"],
        "type": "campaign",
        "machines": "none",
    }
    async with WebhookHarness(store, receiver.url, domains=["acme.test"], **keys).posting() as harness:
        await harness.store_events(Kind.OPEN, queue_id="Q1")
        await harness.store_events(Kind.CLICK, queue_id="Q2")
        await harness.store_events(Kind.OPEN, queue_id="Q2", machine=True)
        await harness.store_events(Kind.OPEN, queue_id="Q2", proxied=True)
        harness.now += 1
        await harness.store_events(Kind.OPEN, queue_id="Q2")
        await harness.rounds()
    (post,) = receiver.posts
    assert post.json["data"]["campaign"] == "spring"
    assert post.json["timestamp"].endswith("01.000Z")


async def test_mail_of_the_relay_copies_and_unproven_reports_are_not_posted(
    store: SqliteStore, receiver: Receiver
) -> None:
    await enqueue(store, invoice("Q2", origin="alert"))
    policy = replace(invoice().policy, copies=(0,))
    await enqueue(store, invoice("Q3", policy=policy))
    async with WebhookHarness(store, receiver.url).posting() as harness:
        await harness.store_events(Kind.DELIVERED, queue_id="Q2")
        await harness.store_events(Kind.DELIVERED, queue_id="Q3")
        await harness.store_events(Kind.COMPLAINT, queue_id="Q1", unproven="no DKIM signature")
        await harness.rounds()
    assert receiver.posts == []


async def test_a_slow_receiver_gets_at_most_so_many_posts_at_once(store: SqliteStore, receiver: Receiver) -> None:
    receiver.rule = lambda _: Reply(wait=0.02)
    harness = WebhookHarness(store, receiver.url, concurrency=3)
    async with harness.posting():
        for number in range(30):
            await harness.store_events(Kind.OPEN, queue_id=f"Q{number}")
        await harness.rounds()
    assert len(receiver.posts) == 30
    assert 1 < receiver.most_at_once <= 3


async def test_header_fields_and_login_of_the_configuration_are_sent(store: SqliteStore, receiver: Receiver) -> None:
    keys: dict[str, Any] = {"username": "hook", "password": "gehe\u00efm", "headers": {"X-Api-Key": "k1"}}
    async with WebhookHarness(store, receiver.url, **keys).posting() as harness:
        await harness.store_events(Kind.OPEN)
        await harness.rounds()
    (post,) = receiver.posts
    assert post.headers["X-Api-Key"] == "k1"
    assert post.headers["Authorization"] == "Basic aG9vazpnZWhlw69t"
    assert "Cookie" not in post.headers


async def test_events_that_were_stored_while_the_store_was_read_are_not_missed(
    store: SqliteStore, receiver: Receiver
) -> None:
    harness = WebhookHarness(store, receiver.url)
    async with harness.posting():

        async def store_many() -> None:
            for number in range(300):
                event = Event(Kind.OPEN, NOW, f"Q{number}", 0, "a@x.test", {"id": str(number)})
                await store.events.record([event])

        storing = asyncio.create_task(store_many())
        while not storing.done():
            await harness.rounds()
            await asyncio.sleep(0.01)
        await harness.rounds()
    assert len({post.id for post in receiver.posts}) == len(receiver.posts) == 300


async def test_a_replay_goes_on_by_its_times_after_the_database_was_replaced(
    store: SqliteStore, receiver: Receiver
) -> None:
    harness = WebhookHarness(store, receiver.url)
    async with harness.posting():
        await harness.store_events(Kind.OPEN)
        await harness.rounds()
        beyond = Position(0, 10**6)
        await store.webhooks.replay("crm", Replay(beyond, beyond, NOW - 60, NOW + 60))
        await harness.later(2)
        await harness.rounds()
        assert receiver.types().count("message.open") == 2
        state = await store.webhooks.state("crm")
        assert state is not None
        assert state.replay is None


async def test_an_event_that_is_stored_during_a_round_is_posted_by_the_next_one(
    store: SqliteStore, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.webhooks.sender.POLL", 3600.0)
    harness = WebhookHarness(store, receiver.url)
    read = store.feed.read
    late = [Kind.OPEN]

    async def read_then_store(after: Position, limit: int) -> FeedPage:
        page = await read(after, limit)
        if harness.sender.began and late and not page.events:
            await harness.store_events(late.pop())
            harness.sender.wake()
        return page

    monkeypatch.setattr(store.feed, "read", read_then_store)
    running = asyncio.create_task(harness.sender.run())
    async with asyncio.timeout(30):
        while not receiver.posts:
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait([running])
    assert receiver.types() == ["message.open"]
