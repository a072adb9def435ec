"""The whole story of each word of the simulator, sent over SMTP and over the HTTP API, in a running relay."""

import asyncio
import smtplib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from relay.config.secret_hash import hash_secret
from relay.mail.simulator_words import WORDS
from tests.ports import free_port
from tests.servers.api_client import ApiClient
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink
from tests.servers.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

DOMAIN = "simulator.relay.invalid"

HTML = '<p>Hello <a href="https://shop.test/1">one</a> <a href="https://shop.test/2">two</a></p>'


def configuration(port: int) -> str:
    secret = hash_secret("secret", b"s" * 16)
    return f"""
[api]
address = "127.0.0.1:{port}"
[simulator]
speed = 60
[resolver]
nameservers = ["127.0.0.1:9"]
[limits]
identity_daily_ceiling = 10000
[credentials.shop]
secret_hash = "{secret}"
scopes = ["send", "read"]
[identities."news@acme.test"]
hourly_limit = 10000
daily_limit = 10000
reply_tracking = true
[domains."acme.test"]
return_path = "bounces.acme.test"
reply_domain = "reply.acme.test"
tracking = {{ base_url = "https://t.acme.test" }}
"""


@dataclass(frozen=True, slots=True)
class World:
    relay: RelayProcess
    sink: Sink
    api: ApiClient

    async def send(self, transport: str, address: str, *more: str) -> str:
        """Send a campaign mail to the address, and return its queue id."""
        if transport == "HTTP":
            message = {"from": "news@acme.test", "to": [address, *more], "subject": "hi", "html": HTML}
            answer = await self.api.post("/messages", {**message, "campaign": "autumn"})
            assert answer.status == 202, answer.json
            return str(answer.json["queue_id"])
        return await asyncio.to_thread(self._transaction, (address, *more))

    def _transaction(self, addresses: tuple[str, ...]) -> str:
        header = f"From: news@acme.test\r\nTo: {addresses[0]}\r\nSubject: hi\r\nX-Relay-Campaign: autumn\r\n"
        with smtplib.SMTP("127.0.0.1", self.relay.port, timeout=20) as client:
            client.ehlo()
            client.mail("news@acme.test")
            for one in addresses:
                client.rcpt(one)
            code, text = client.data(f"{header}Content-Type: text/html\r\n\r\n{HTML}\r\n".encode())
            assert code == 250, text
            return text.decode().rsplit(" ", 1)[1]

    async def story(self, queue_id: str) -> dict[str, Any]:
        socket = aiohttp.UnixConnector(str(self.relay.folder / "data" / "admin.sock"))
        async with (
            aiohttp.ClientSession(connector=socket) as client,
            client.get(f"http://relay/trace/{queue_id}") as got,
        ):
            (story,) = (await got.json())["stories"]
        return dict(story)

    async def until_seen(self, queue_id: str, kinds: list[str]) -> dict[str, Any]:
        """Return the story once it has these kinds of events, those of repeated attempts once."""
        found: dict[str, Any] = {"events": []}

        async def ended() -> bool:
            found.update(await self.story(queue_id))
            return distinct(found) == kinds

        try:
            await until(ended)
        except TimeoutError:
            raise AssertionError(f"{queue_id}: {distinct(found)}, not {kinds}") from None
        return found


def distinct(story: dict[str, Any]) -> list[str]:
    """Return kinds of events with their category, repetitions once."""
    found: list[str] = []
    for event in story["events"]:
        words = [event["event"], event.get("category", ""), "machine" if event.get("machine") else ""]
        text = " ".join(filter(None, words))
        if not found or found[-1] != text:
            found.append(text)
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    port = free_port()
    async with Sink() as sink:
        relay = RelayProcess(tmp_path_factory.mktemp("relay"), sink.port, configuration(port))
        # What is deferred for good bounces within the test.
        text = relay.config.read_text(encoding="utf-8").replace('retry = ["1s"]', 'retry = ["1s"]\nlifetime = "12s"')
        relay.config.write_text(text, encoding="utf-8")
        async with relay:
            yield World(relay, sink, ApiClient(port, "shop:secret"))


MADE = ["created", "processed"]

TAKEN = [*MADE, "delivered"]

STORIES: dict[str, list[str]] = {
    "delivered": TAKEN,
    "success": TAKEN,
    "hard": [*MADE, "bounced bad_mailbox"],
    "bounce": [*MADE, "bounced bad_mailbox"],
    "full": [*MADE, "deferred mailbox_full", "bounced mailbox_full"],
    "blocked": [*MADE, "deferred blocked", "bounced blocked"],
    "policy": [*MADE, "bounced policy"],
    "spam": [*MADE, "bounced spam_content"],
    "auth": [*MADE, "bounced auth_failed"],
    "toolarge": [*MADE, "bounced too_large"],
    "greylist": [*MADE, "deferred greylisted", "delivered"],
    "ratelimit": [*MADE, "deferred rate_limited", "delivered"],
    "slow": TAKEN,
    "drop": [*MADE, "deferred network", "bounced network"],
    "tls": [*MADE, "deferred tls", "bounced tls"],
    "uncertain": [*MADE, "deferred network", "bounced network"],
    "late-bounce": [*TAKEN, "bounced bad_mailbox"],
    "ooto": [*TAKEN, "reply"],
    "reply": [*TAKEN, "reply"],
    "complaint": [*TAKEN, "complaint"],
    "open": [*TAKEN, "open"],
    "click": [*TAKEN, "open", "click"],
    "unsubscribe": [*TAKEN, "unsubscribe"],
    "scanner": [*TAKEN, "click machine", "open machine", "click machine"],
    "mpp": [*TAKEN, "open machine"],
    "suppressed": ["created", "dropped"],
    "suppressionlist": ["created", "dropped"],
    "code-554-5.6.1": [*MADE, "bounced content_rejected"],
    "code-451-4.3.0": [*MADE, "deferred server_error", "bounced server_error"],
    "code-250-2.1.5": TAKEN,
    "no-word": [*MADE, "bounced bad_mailbox"],
}


async def test_each_word_has_a_story() -> None:
    assert set(WORDS[:-1]) < set(STORIES)


async def stories_of(world: World, transport: str) -> dict[str, dict[str, Any]]:
    """Send a mail to each word, and return the whole stories."""
    sent = {word: await world.send(transport, f"{word}@{DOMAIN}") for word in STORIES}
    found = await asyncio.gather(*(world.until_seen(sent[word], STORIES[word]) for word in STORIES))
    return dict(zip(STORIES, found, strict=True))


async def test_the_whole_story_of_each_word_over_smtp_and_http(world: World) -> None:
    for stories in await asyncio.gather(*(stories_of(world, transport) for transport in ("SMTP", "HTTP"))):
        check(stories)


def check(stories: dict[str, dict[str, Any]]) -> None:
    for word, story in stories.items():
        assert all(event["simulated"] is True for event in story["events"]), word
        assert story["recipients"][0]["recipient"] == f"{word}@{DOMAIN}"
    automatic = {
        word: [event.get("automatic", False) for event in stories[word]["events"]][-1] for word in ("ooto", "reply")
    }
    assert automatic == {"ooto": True, "reply": False}
    assert stories["uncertain"]["events"][2]["uncertain"] is True
    assert stories["tls"]["events"][2]["phase"] == "starttls"
    assert stories["drop"]["events"][2]["phase"] == "data"
    assert stories["slow"]["events"][-1]["delay"] > 0.4
    assert stories["late-bounce"]["events"][-1]["late"] is True
    assert "unproven" not in stories["complaint"]["events"][-1]
    assert stories["suppressed"]["events"][-1]["reason"].startswith("suppressed: ")


async def test_a_word_alone_always_answers_and_suppresses_nobody(world: World) -> None:
    for _ in range(2):
        await world.until_seen(await world.send("SMTP", f"hard@{DOMAIN}"), STORIES["hard"])
    assert [one["address"] for one in await world.relay.json("suppression", "list")] == []


async def test_a_word_with_a_suffix_is_suppressed_as_any_address(world: World) -> None:
    address = f"hard+ada@{DOMAIN}"
    await world.until_seen(await world.send("SMTP", address), STORIES["hard"])
    assert [one["address"] for one in await world.relay.json("suppression", "list")] == [address]
    await world.until_seen(await world.send("SMTP", address), ["created", "dropped"])
    await world.relay.run("suppression", "remove", address)


async def test_other_recipients_of_the_message_get_it(world: World) -> None:
    queue_id = await world.send("SMTP", f"hard@{DOMAIN}", "ada@reader.test")
    await world.sink.received_by("ada@reader.test")

    async def ended() -> dict[str, Any] | None:
        story = await world.story(queue_id)
        return story if [one["status"] for one in story["recipients"]] == ["bounced", "delivered"] else None

    story = await until(ended)
    assert {event["recipient"] for event in story["events"] if event.get("simulated")} == {f"hard@{DOMAIN}"}


async def test_reports_leave_simulated_recipients_out_unless_asked(world: World) -> None:
    await world.until_seen(await world.send("SMTP", f"hard@{DOMAIN}"), STORIES["hard"])
    (plain,) = await world.relay.json("report", "bounces")
    (whole,) = await world.relay.json("report", "bounces", "--simulated")
    assert plain["bounced"] == 0 < whole["bounced"]
    listed = await world.relay.json("report", "messages", "--status", "bounced", "--all")
    assert not [one for one in listed if one["recipient"].endswith(DOMAIN)]
    listed = await world.relay.json("report", "messages", "--status", "bounced", "--all", "--simulated")
    assert [one for one in listed if one["recipient"] == f"hard@{DOMAIN}"]


async def test_the_mail_as_it_would_have_left_is_kept(world: World) -> None:
    queue_id = await world.send("SMTP", f"delivered@{DOMAIN}")
    await world.until_seen(queue_id, TAKEN)
    shown = await world.relay.run("queue", "show", queue_id, "--sent")
    assert "https://t.acme.test/c/" in shown
    assert "List-Unsubscribe: <https://t.acme.test/u/" in shown
    assert "@bounces.acme.test>:" in shown
    (copy,) = await world.relay.json("queue", "show", queue_id, "--sent")
    assert copy["number"] == 0
