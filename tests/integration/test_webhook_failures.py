"""Receivers of webhooks that fail, refuse, redirect or are gone: what is tried again, stopped, and paused."""

import pytest

from relay.events.event import Kind
from relay.storage.sqlite.store import SqliteStore
from relay.webhooks.feed import FeedPage, Position
from tests.contract.values import NOW
from tests.servers.webhook_harness import WebhookHarness, receiver, store
from tests.servers.webhook_receiver import Receiver, Reply

__all__ = ["receiver", "store"]


async def test_a_receiver_that_is_down_is_tested_by_one_post_and_gets_all_afterwards(
    store: SqliteStore, receiver: Receiver
) -> None:
    receiver.rule = lambda _: Reply(503)
    harness = WebhookHarness(store, receiver.url)
    async with harness.posting():
        for number in range(20):
            harness.now += 0.01
            await harness.store_events(Kind.OPEN, queue_id=f"Q{number}")
        await harness.rounds()
        assert 1 <= len(receiver.posts) <= 4  # The lanes that were under way.
        for wait in (5, 300, 1800):
            before = len(receiver.posts)
            await harness.later(wait + 1)
            assert len(receiver.posts) == before + 1
        (failing,) = harness.logged("webhook.failing")
        assert (failing["webhook"], failing["status"]) == ("crm", 503)
        assert harness.alerts == ["webhook crm"]
        assert await store.webhooks.failures("crm", 100) == []

        receiver.posts.clear()
        receiver.rule = lambda _: Reply(204)
        await harness.later(7200)
    assert len({post.id for post in receiver.posts}) == len(receiver.posts) == 20
    assert len(harness.logged("webhook.recovered")) == 1


async def test_while_a_receiver_is_left_alone_no_event_is_read(
    store: SqliteStore, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.rule = lambda _: Reply(503)
    harness = WebhookHarness(store, receiver.url)
    reads: list[Position] = []
    read = store.feed.read

    async def counted(after: Position, limit: int) -> FeedPage:
        reads.append(after)
        return await read(after, limit)

    async with harness.posting():
        await harness.store_events(Kind.OPEN)
        await harness.rounds()
        monkeypatch.setattr(store.feed, "read", counted)
        for number in range(50):
            await harness.store_events(Kind.OPEN, queue_id=f"Q{number}")
            harness.sender.wake()
            assert await harness.sender.round() > 0
        assert reads == []
        assert len(receiver.posts) == 1


async def test_an_event_at_which_a_receiver_fails_is_tried_again_later_and_others_go_on(
    store: SqliteStore, receiver: Receiver
) -> None:
    receiver.rule = lambda post: Reply(500, text="bug") if post.json["type"] == "message.open" else Reply()
    harness = WebhookHarness(store, receiver.url)
    async with harness.posting():
        await harness.store_events(Kind.DELIVERED, Kind.OPEN, Kind.CLICK, Kind.REPLY)
        await harness.rounds()
        assert receiver.types() == ["message.delivered", "message.open", "message.click", "message.reply"]
        await harness.sender.cursor.sync()
        (failure,) = await store.webhooks.failures("crm", 10)
        assert (failure.type, failure.status, failure.answer, failure.attempts) == ("message.open", 500, "bug", 1)
        assert failure.next_at == NOW + 5

        await harness.later(5)
        assert receiver.types()[4:] == ["message.open"]
        receiver.rule = lambda _: Reply()
        await harness.later(301)
        assert receiver.types()[5:] == ["message.open"]
        assert len({post.id for post in receiver.posts if post.json["type"] == "message.open"}) == 1
        assert await store.webhooks.failures("crm", 10) == []


async def test_an_event_that_fails_at_every_attempt_is_given_up_and_kept_for_a_replay(
    store: SqliteStore, receiver: Receiver
) -> None:
    receiver.rule = lambda post: Reply(500) if post.json["type"] == "message.open" else Reply()
    harness = WebhookHarness(store, receiver.url, retry=["5s", "5m"])
    async with harness.posting():
        for _ in range(6):
            await harness.store_events(Kind.CLICK)
            await harness.later(0)
            await harness.store_events(Kind.OPEN) if harness.now == NOW else None
            await harness.later(400)
        assert receiver.types().count("message.open") == 3
        await harness.sender.cursor.sync()
        (failure,) = await store.webhooks.failures("crm", 10)
        assert (failure.next_at, failure.attempts) == (0, 3)
        (given_up,) = harness.logged("webhook.given_up")
        assert (given_up["type"], given_up["status"]) == ("message.open", 500)
        assert harness.sender.cursor.progress.given_up == 1

        receiver.rule = lambda _: Reply()
        assert await store.webhooks.retry_all("crm", harness.now) == 1
        harness.sender.cursor.aside = 1
        await harness.later(1)
        assert receiver.types().count("message.open") == 4
        assert await store.webhooks.failures("crm", 10) == []


async def test_a_type_that_is_refused_for_good_is_stopped_and_others_go_on(
    store: SqliteStore, receiver: Receiver
) -> None:
    receiver.rule = lambda post: Reply(400, text="unknown type") if post.json["type"] == "message.reply" else Reply()
    harness = WebhookHarness(store, receiver.url)
    async with harness.posting():
        for number in range(6):
            harness.now += 1
            await harness.store_events(Kind.OPEN, Kind.REPLY, queue_id=f"Q{number}")
            await harness.rounds()
        assert receiver.types().count("message.reply") == 3
        assert receiver.types().count("message.open") == 6
        (stopped,) = harness.logged("webhook.type_stopped")
        assert (stopped["type"], stopped["status"], stopped["answer"]) == ("message.reply", 400, "unknown type")
        progress = harness.sender.cursor.progress
        assert progress.stopped == {"message.reply"}
        assert (progress.skipped, progress.given_up) == (3, 3)
        assert harness.logged("webhook.failing") == []
        assert len(harness.logged("webhook.given_up")) == 3


async def test_a_type_of_bounces_that_is_refused_stops_no_other_bounces(store: SqliteStore, receiver: Receiver) -> None:
    receiver.rule = lambda post: Reply(400) if post.json["Type"] == "Blocked" else Reply()
    harness = WebhookHarness(store, receiver.url, format="postmark")
    async with harness.posting():
        for number in range(6):
            harness.now += 1
            await harness.store_events(Kind.BOUNCED, queue_id=f"B{number}", category="policy")
            await harness.store_events(Kind.BOUNCED, queue_id=f"H{number}", category="bad_mailbox")
            await harness.rounds()
        types = [post.json["Type"] for post in receiver.posts]
        assert (types.count("Blocked"), types.count("HardBounce")) == (3, 6)
        assert harness.sender.cursor.progress.stopped == {"message.bounced as Blocked"}


async def test_a_receiver_that_refuses_everything_counts_as_failing_and_no_type_is_stopped(
    store: SqliteStore, receiver: Receiver
) -> None:
    receiver.rule = lambda _: Reply(400, text="bad signature")
    harness = WebhookHarness(store, receiver.url, concurrency=1)
    async with harness.posting():
        for number in range(30):
            harness.now += 0.01
            await harness.store_events(Kind.OPEN, Kind.CLICK, queue_id=f"Q{number}")
        await harness.rounds()
        assert len(receiver.posts) == 10
        assert harness.sender.cursor.progress.stopped == frozenset()
        assert harness.sender.cursor.progress.next_at > harness.now


async def test_a_receiver_that_is_gone_pauses_the_webhook_until_it_is_resumed(
    store: SqliteStore, receiver: Receiver
) -> None:
    receiver.next.append(Reply(410))
    harness = WebhookHarness(store, receiver.url)
    async with harness.posting():
        await harness.store_events(Kind.OPEN)
        assert await harness.sender.round() == 0
        await harness.later(10**5)
        assert len(receiver.posts) == 1
        assert "410" in harness.logged("webhook.paused")[0]["why"]
        await store.webhooks.resume("crm")
        await harness.later(10)
        assert receiver.types() == ["message.open", "message.open"]


async def test_a_webhook_without_success_for_too_long_is_paused(store: SqliteStore, receiver: Receiver) -> None:
    receiver.rule = lambda _: Reply(404)
    harness = WebhookHarness(store, receiver.url, give_up="1d")
    async with harness.posting():
        await harness.store_events(Kind.OPEN)
        for _ in range(30):
            await harness.later(3700)
        (paused,) = harness.logged("webhook.paused")
        assert "404" in paused["why"]
        assert len(receiver.posts) < 30
        assert (await store.webhooks.states())[0].paused_at > 0


async def test_retry_after_is_respected(store: SqliteStore, receiver: Receiver) -> None:
    receiver.next.append(Reply(429, {"Retry-After": "120"}))
    harness = WebhookHarness(store, receiver.url)
    async with harness.posting():
        await harness.store_events(Kind.OPEN)
        await harness.rounds()
        await harness.later(119)
        assert len(receiver.posts) == 1
        await harness.later(1)
        assert len(receiver.posts) == 2


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(302, {"Location": "http://127.0.0.1:9/elsewhere"}), ""),
        (Reply(reset=True), ""),
        (Reply(wait=5), "no answer within 0.2 seconds"),
        (Reply(401, text="who are you"), "who are you"),
    ],
)
async def test_a_receiver_that_redirects_resets_sleeps_or_refuses_the_login_is_tried_again(
    store: SqliteStore, receiver: Receiver, reply: Reply, reason: str
) -> None:
    receiver.next.append(reply)
    harness = WebhookHarness(store, receiver.url, timeout="200ms")
    async with harness.posting():
        await harness.store_events(Kind.OPEN)
        await harness.rounds()
        last = harness.sender.cursor.progress.last
        assert last is not None
        assert reason in last.text
        await harness.later(6)
    assert len(receiver.posts) == 2
    assert receiver.posts[0].id == receiver.posts[1].id
    assert {post.path for post in receiver.posts} == {"/hook"}


async def test_an_endless_answer_is_cut_and_its_control_characters_are_not_kept(
    store: SqliteStore, receiver: Receiver
) -> None:
    receiver.next.append(Reply(500, text="\x1b[31mred\r\nforged: line " + "x" * 10**6))
    harness = WebhookHarness(store, receiver.url)
    async with harness.posting():
        await harness.store_events(Kind.OPEN)
        await harness.rounds()
        await harness.sender.cursor.sync()
    (failure,) = await store.webhooks.failures("crm", 10)
    assert len(failure.answer) == 512
    assert failure.answer.isprintable()


async def test_a_hundred_failures_hold_the_cursor(store: SqliteStore, receiver: Receiver) -> None:
    receiver.rule = lambda post: Reply(500) if post.json["type"] == "message.open" else Reply()
    harness = WebhookHarness(store, receiver.url)
    async with harness.posting():
        for number in range(150):
            await harness.store_events(Kind.OPEN, Kind.CLICK, queue_id=f"Q{number}")
        await harness.rounds()
        await harness.sender.cursor.sync()
        failures = await store.webhooks.failures("crm", 1000)
    assert 90 <= len(failures) <= 200
