"""A running relay posts to seven receivers at once; other programs read what they got. Commands act on it."""

import asyncio
import re
import smtplib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from relay.webhooks.signing import parse_key, sendgrid_key, sendgrid_public
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Say, Sink
from tests.servers.vendor_readers import Anymail, sendgrid_verifies, standard_webhooks
from tests.servers.waiting import until
from tests.servers.webhook_harness import SECRET
from tests.servers.webhook_receiver import Posted, Receiver

pytestmark = pytest.mark.asyncio(loop_scope="module")

FORMATS = ("standard", "sendgrid", "mailgun", "postmark", "ses", "cloudevents", "slack")

MAIL = (
    b"From: Acme <billing@acme.test>\r\nTo: ada@rcpt.test\r\nSubject: Invoice 1042\r\n"
    b"X-Relay-Tag: invoice\r\nX-Relay-Meta-Invoice: 1042\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
    b'<html><body><p><a href="https://acme.test/invoice/1042">pay</a></p></body></html>\r\n'
)


def configuration(port: int) -> str:
    sections = [
        f"""
[[webhook]]
name = "{name}"
format = "{name}"
url = "http://127.0.0.1:{port}/{name}"
secret = ["{SECRET}"]
username = "hook"
password = "secret"
allow_networks = ["127.0.0.1/32"]
"""
        for name in FORMATS
    ]
    return "".join(sections)


def send(port: int, *recipients: str) -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        client.sendmail("billing@acme.test", list(recipients), MAIL)


async def fetch_pixel_and_link(html: str) -> None:
    """Read the mail as a person would: load the pixel, follow the link."""
    links = re.findall(r'(?:src|href)="(http://127[^"]+)"', html)
    async with aiohttp.ClientSession(headers={"User-Agent": "Mozilla/5.0 (X11; Linux x86_64)"}) as client:
        for link in links:
            async with client.get(link, allow_redirects=False) as answer:
                assert answer.status in (200, 302)


def of(receiver: Receiver, name: str) -> list[Posted]:
    return [post for post in receiver.posts if post.path == f"/{name}"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[RelayProcess, Receiver]]:
    """A relay that has delivered, bounced, and recorded an open and a click, all of it posted."""
    async with Receiver() as receiver, Sink() as sink:
        folder = tmp_path_factory.mktemp("relay")
        async with RelayProcess(folder, sink.port, configuration(receiver.port)) as relay:
            await asyncio.to_thread(send, relay.port, "ada@rcpt.test")
            (mail,) = await sink.received(1)
            await fetch_pixel_and_link(mail.content.decode())
            sink.once("RCPT", Say("550 5.1.1 No such user"))
            await asyncio.to_thread(send, relay.port, "gone@rcpt.test")
            wanted = {"message.delivered", "message.open", "message.click", "message.bounced"}
            await until(lambda: wanted <= {post.json["type"] for post in of(receiver, "standard")})
            await until(lambda: len(of(receiver, "postmark")) >= 4 and len(of(receiver, "slack")) >= 8)
            await until(lambda: len(of(receiver, "ses")) >= 6 and len(of(receiver, "mailgun")) >= 6)
            await until(lambda: len(of(receiver, "sendgrid")) >= 6 and len(of(receiver, "cloudevents")) >= 8)
            yield relay, receiver


World = tuple[RelayProcess, Receiver]


async def test_standard_webhooks_verifies_every_post_of_every_format(world: World) -> None:
    _, receiver = world
    for post in receiver.posts:
        assert standard_webhooks(SECRET, post.headers, post.body) is not None
    by_id: dict[str, set[str]] = {}
    for post in of(receiver, "standard"):
        by_id.setdefault(post.id, set()).add(post.json["type"])
        assert post.json["data"]["metadata"] == {"invoice": "1042"}
        assert post.json["data"]["tags"] == ["invoice"]
    assert all(len(types) == 1 for types in by_id.values())


@pytest.mark.parametrize("vendor", ["sendgrid", "mailgun", "postmark", "ses"])
async def test_anymail_reads_what_the_relay_posted(world: World, vendor: str) -> None:
    _, receiver = world
    reader = Anymail(SECRET)
    events: list[Any] = [
        event for post in of(receiver, vendor) for event in reader.read(vendor, post.headers, post.body)
    ]
    assert {"delivered", "opened", "clicked", "bounced"} <= {event.event_type for event in events}
    assert {event.metadata["invoice"] for event in events} == {"1042"}
    assert {event.recipient for event in events} == {"ada@rcpt.test", "gone@rcpt.test"}
    (clicked,) = [event for event in events if event.event_type == "clicked"]
    assert clicked.click_url == "https://acme.test/invoice/1042"


async def test_sendgrids_own_library_verifies_what_the_relay_posted(world: World) -> None:
    relay, receiver = world
    public = sendgrid_public(sendgrid_key(parse_key(SECRET)))
    assert public in await relay.run("webhook", "key", "sendgrid")
    for post in of(receiver, "sendgrid"):
        assert sendgrid_verifies(public, post.headers, post.body)


async def test_the_commands_show_test_pause_and_repeat(world: World) -> None:
    relay, receiver = world
    rows = await relay.json("webhook", "list")
    assert [row["name"] for row in rows] == list(FORMATS)
    assert {row["state"] for row in rows} == {"posting"}
    posts = await relay.json("webhook", "log", "standard")
    assert {row["result"] for row in posts} == {"accepted"}
    assert len(posts) > 1
    _, cut = await relay.ran("webhook", "log", "standard", "--limit", "1")
    assert "only the newest 1 are shown, and there are more; --limit shows more\n" in cut
    _, whole = await relay.ran("webhook", "log", "standard", "--limit", str(len(posts)))
    assert "there are more" not in whole
    assert "accepted" in await relay.run("webhook", "show", "standard")
    assert await relay.json("webhook", "log", "standard", "--failed") == []

    before = len(of(receiver, "standard"))
    answers = await relay.json("webhook", "test", "standard", "--event", "bounced")
    assert [(one["type"], one["status"]) for one in answers] == [("message.bounced", 200)]
    assert of(receiver, "standard")[before].json["data"]["test"] is True

    assert "paused" in await relay.run("webhook", "pause", "standard")
    (queue_id,) = {post.json["data"]["queue_id"] for post in of(receiver, "standard") if "click" in post.json["type"]}
    await relay.run("webhook", "replay", "standard", "--queue-id", queue_id)
    (row,) = [row for row in await relay.json("webhook", "list") if row["name"] == "standard"]
    assert (row["state"], row["waiting"]) == ("paused", 5)
    assert len(of(receiver, "standard")) == before + 1
    await relay.run("webhook", "resume", "standard")
    await until(lambda: len(of(receiver, "standard")) >= before + 6)
    repeated = of(receiver, "standard")[before + 1 :]
    assert {post.id for post in repeated} <= {post.id for post in of(receiver, "standard")[:before]}

    before = len(of(receiver, "standard"))
    await relay.run("webhook", "replay", "standard", "--since", "1h")
    await until(lambda: len(of(receiver, "standard")) >= before + 8)
    assert "there is no [[webhook]]" in await _error(relay, "webhook", "show", "other")


async def _error(relay: RelayProcess, *arguments: str) -> str:
    with pytest.raises(AssertionError) as caught:
        await relay.run(*arguments)
    return str(caught.value)
