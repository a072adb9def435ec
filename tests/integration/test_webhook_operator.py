"""Events of the relay itself reach a webhook while mail, the store, or another webhook is in trouble."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from io import StringIO

import pytest

from relay.app.alert_mailer import AlertQueue
from relay.app.alerts import Alert
from relay.config.settings import Settings
from relay.log import Log
from relay.resolver import Resolver
from relay.webhooks.operator_events import OPERATOR_LINES, OperatorPosts, operator_body, wanted_types
from relay.webhooks.receiver_client import ReceiverClient
from tests.contract.values import NOW
from tests.servers.webhook_harness import webhook_settings
from tests.servers.webhook_receiver import Receiver, Reply


@asynccontextmanager
async def posting(receiver: Receiver, *events: str, format: str = "standard") -> AsyncIterator[OperatorPosts]:
    (webhook,) = webhook_settings(receiver.url, events=list(events), format=format).webhooks
    posts = OperatorPosts(webhook, "relay.test", ReceiverClient(webhook, Resolver()), lambda: NOW)
    task = asyncio.create_task(posts.run(waits=(0.01, 0.01)))
    try:
        yield posts
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_an_event_is_posted_with_the_fields_of_its_log_line_and_tried_again() -> None:
    async with Receiver() as receiver, posting(receiver, "delivery.paused") as posts:
        receiver.next.extend([Reply(503), Reply(reset=True)])
        fields = {"lane": "mx:x.test", "category": "blocked", "reply": "550 \x1b no"}
        posts.add(operator_body("delivery.paused", fields, "relay.test", NOW))
        posts.add(operator_body("store.trouble", {"error": "disk"}, "relay.test", NOW))
        found = await receiver.wait_for(3)
        assert {post.json["type"] for post in found} == {"delivery.paused"}
        data = found[2].json["data"]
        assert (data["lane"], data["hostname"], data["category"]) == ("mx:x.test", "relay.test", "blocked")
        assert data["text"] == "lane mx:x.test, category blocked, reply 550   no"
        assert len({post.id for post in found}) == 1


@pytest.mark.parametrize("format", ["standard", "cloudevents", "cloudevents-binary", "slack"])
async def test_an_alert_reaches_a_chat(format: str) -> None:
    async with Receiver() as receiver, posting(receiver, "alert", format=format) as posts:
        alerts = AlertQueue(Settings, lambda: NOW)  # Without recipients of mail.
        alerts.on_alert = lambda alert: posts.add(
            operator_body("alert", {"cause": alert.cause, "text": alert.subject}, "relay.test", NOW)
        )
        for _ in range(3):
            alerts.send(Alert("store", "the store did not answer for 9 seconds", "details"))
        (post,) = await receiver.wait_for(1)
        body = post.json
        text = body["text"] if format in ("slack", "cloudevents-binary") else body["data"]["text"]
        assert "the store did not answer for 9 seconds" in text


def test_a_log_gives_watched_lines_to_a_listener_whatever_its_level() -> None:
    seen: list[str] = []
    log = Log(StringIO(), "json", level=50)
    log.watched, log.on_line = OPERATOR_LINES, lambda line, _: seen.append(line)
    log("tracking.up", base_url="https://t.test", seconds=3)
    log("server.stopped")
    assert seen == ["tracking.up"]


def test_only_formats_with_a_form_for_them_get_events_of_the_relay() -> None:
    for format, count in (("standard", 1), ("slack", 1), ("postmark", 0)):
        (webhook,) = webhook_settings("https://x.example/", events=["alert", "open"], format=format).webhooks
        assert len(wanted_types(webhook)) == count


def test_a_long_text_is_cut_and_odd_values_are_written() -> None:
    fields = {"error": "x" * 5000, "faults": ["a", "b"], "port": 25, "path": NotImplemented}
    data = operator_body("alert", fields, "relay.test", NOW).data
    assert len(data.error) == 1000  # type: ignore[union-attr]
    assert data.faults == ["a", "b"]  # type: ignore[union-attr]
