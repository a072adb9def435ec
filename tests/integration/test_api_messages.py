"""Messages over HTTP, against a running relay: sent, refused, read, cancelled."""

import asyncio
import email
import email.policy
import json
import re
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from relay.config.secret_hash import hash_secret
from tests.ports import free_port
from tests.servers.api_client import ApiClient
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Received, Sink
from tests.servers.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

MESSAGE: dict[str, Any] = {
    "from": "Jörg <shop@acme.test>",
    "to": ["Ada <ada@reader.test>"],
    "subject": "Größe 42",
    "text": "Hello, Ada\n",
    "html": "<p>Hello, Ada: <a href='https://acme.test/1'>look</a></p>",
}

MAIL = b"From: shop@acme.test\nTo: ada@reader.test\nSubject: as it is\nX-Relay-Tag: raw\n\nHello\n"


def configuration(port: int) -> str:
    secret = hash_secret("secret", b"s" * 16)
    return f"""
[api]
address = "127.0.0.1:{port}"
[limits]
max_message_size = 300_000
max_recipients = 20
identity_daily_ceiling = 1000
[credentials.shop]
secret_hash = "{secret}"
scopes = ["send", "read"]
[credentials.other]
secret_hash = "{secret}"
scopes = ["send", "read"]
[credentials.reader]
secret_hash = "{secret}"
scopes = ["read"]
[identities."shop@acme.test"]
credentials = ["shop"]
hourly_limit = 1000
daily_limit = 1000
[identities."slow@acme.test"]
credentials = ["shop"]
hourly_limit = 1
daily_limit = 1000
[identities."other@beta.test"]
credentials = ["other"]
"""


@dataclass(frozen=True, slots=True)
class World:
    relay: RelayProcess
    sink: Sink
    shop: ApiClient
    other: ApiClient
    reader: ApiClient

    async def sent(self, queue_id: str) -> Received:
        """Return the delivered message with this queue id."""

        def found() -> list[Received]:
            return [one for one in self.sink.messages if f"id {queue_id}".encode() in one.content]

        await until(found)
        return found()[0]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    port = free_port()
    async with (
        Sink() as sink,
        RelayProcess(tmp_path_factory.mktemp("relay"), sink.port, configuration(port)) as relay,
    ):
        clients = (ApiClient(port, f"{name}:secret") for name in ("shop", "other", "reader"))
        yield World(relay, sink, *clients)


def with_keys(**keys: Any) -> dict[str, Any]:
    return {**MESSAGE, **{name.rstrip("_"): value for name, value in keys.items()}}


async def test_a_message_in_json_arrives_whole(world: World) -> None:
    file = {"name": "Rechnung ä.pdf", "type": "application/pdf", "content": b64encode(b"%PDF \0").decode()}
    image = {"name": "logo.png", "type": "image/png", "content": b64encode(b"\x89PNG").decode(), "content_id": "logo"}
    answer = await world.shop.post(
        "/messages",
        with_keys(
            cc=["bob@reader.test"],
            bcc=["hidden@reader.test"],
            reply_to=["answers@acme.test"],
            headers={"X-Order": "1042"},
            attachments=[file, image],
            tags=["invoice"],
            metadata={"Order Id": "1042"},
        ),
    )
    assert answer.status == 202
    assert [one["address"] for one in answer.json["recipients"]] == [
        "ada@reader.test",
        "bob@reader.test",
        "hidden@reader.test",
    ]
    assert {one["status"] for one in answer.json["recipients"]} == {"created"}

    received = await world.sent(answer.json["queue_id"])
    assert b"hidden" not in received.content
    mail: Any = email.message_from_bytes(received.content, policy=email.policy.default)
    assert (mail["From"], mail["Subject"], mail["X-Order"]) == ("Jörg <shop@acme.test>", "Größe 42", "1042")
    assert (mail["Message-ID"], mail["Cc"]) == (answer.json["message_id"], "bob@reader.test")
    assert "with HTTP id" in mail["Received"]
    assert mail.get_body(("plain",)).get_content() == "Hello, Ada\r\n"
    assert "look" in mail.get_body(("html",)).get_content()
    (attached,) = mail.iter_attachments()
    assert (attached.get_filename(), attached.get_content()) == ("Rechnung ä.pdf", b"%PDF \0")


async def test_the_story_of_a_message_has_the_status_of_each_recipient_and_its_labels(world: World) -> None:
    sent = await world.shop.post(
        "/messages", with_keys(tags=["news"], metadata={"Order Id": "7"}, campaign="spring", track={"opens": False})
    )
    queue_id = sent.json["queue_id"]
    await world.sent(queue_id)

    async def delivered() -> bool:
        story = (await world.shop.get(f"/messages/{queue_id}")).json
        return bool(story["recipients"][0]["status"] == "delivered")

    async with asyncio.timeout(20):
        while not await delivered():
            await asyncio.sleep(0.02)
    story = (await world.shop.get(f"/messages/{queue_id}")).json
    assert (story["campaign"], story["tags"], story["metadata"]) == ("spring", ["news"], {"Order Id": "7"})
    assert [one["event"] for one in story["events"]] == ["created", "processed", "delivered"]
    listed = (await world.shop.get("/messages?campaign=spring&limit=5")).json
    assert [one["queue_id"] for one in listed["messages"]] == [queue_id]
    assert "events" not in listed["messages"][0]


async def test_a_message_as_rfc822_is_sent_as_it_is(world: World) -> None:
    headers = {"Content-Type": "message/rfc822"}
    answer = await world.shop.post("/messages?to=ada@reader.test&to=bob@reader.test", MAIL, headers)
    assert answer.status == 202
    received = await world.sent(answer.json["queue_id"])
    assert b"Subject: as it is\r\n" in received.content
    assert (await world.shop.get(f"/messages/{answer.json['queue_id']}")).json["tags"] == ["raw"]


async def test_each_recipient_of_a_message_with_substitutions_gets_its_own_text(world: World) -> None:
    answer = await world.shop.post(
        "/messages",
        with_keys(
            to=["ada@reader.test", "Bob <bob@reader.test>"],
            subject="For %name%",
            html="<p>%name%, <a href='%link%'>look</a></p>",
            text="%name% at %link%",
            track={"clicks": False},
            substitutions={
                "ADA@reader.test": {"%name%": "Ada & co", "%link%": "https://acme.test/?a=1&b=2"},
                "bob@reader.test": {"%name%": "%link%"},
            },
        ),
    )
    ada, bob = answer.json["recipients"]
    assert ada["queue_id"] != bob["queue_id"]
    text = (await world.sent(ada["queue_id"])).content.decode()
    assert "Subject: For Ada & co" in text
    assert "<p>Ada &amp; co, <a href='https://acme.test/?a=1&amp;b=2'>" in text
    assert "Ada & co at https://acme.test/?a=1&b=2" in text
    other = (await world.sent(bob["queue_id"])).content.decode()
    assert "To: Bob <bob@reader.test>" in other
    assert "%link% at %link%" in other


async def test_a_message_over_the_limit_gets_a_release_time_and_can_be_cancelled(world: World) -> None:
    both = [await world.shop.post("/messages", with_keys(from_="slow@acme.test")) for _ in range(2)]
    assert both[0].json["recipients"][0]["release_at"] is None
    assert both[1].json["recipients"][0]["release_at"] > "2026"
    path = f"/messages/{both[1].json['queue_id']}"
    cancelled = await world.shop.request("DELETE", path)
    assert (cancelled.status, cancelled.json) == (200, {"cancelled": ["ada@reader.test"]})
    assert (await world.shop.get(path)).json["recipients"][0]["status"] == "dropped"
    assert (await world.shop.request("DELETE", path)).json == {"cancelled": []}


async def test_a_batch_answers_one_by_one(world: World) -> None:
    given = [MESSAGE, with_keys(from_="stranger@beta.test"), {"from": "shop@acme.test"}, with_keys(sandbox=True)]
    answer = await world.shop.post("/messages/batch", {"messages": given})
    assert (answer.status, [one["status"] for one in answer.json["results"]]) == (200, [202, 403, 422, 202])
    assert "may not send as" in answer.json["results"][1]["problem"]["detail"]
    assert answer.json["results"][2]["problem"]["errors"] == ["to: is missing"]
    queue_id = answer.json["results"][3]["message"]["queue_id"]

    async def delivered() -> bool:
        found = (await world.shop.get(f"/messages/{queue_id}")).json
        return bool(found["recipients"][0]["status"] == "delivered")

    await until(delivered)
    assert not [one for one in world.sink.messages if f"id {queue_id}".encode() in one.content]


@pytest.mark.parametrize(
    ("message", "status", "said"),
    [
        ({"subjct": "x"}, 422, "subjct: is unknown; known are "),
        ({"to": []}, 422, "to: "),
        ({"to": ["nobody"]}, 422, "to.0: is no address"),
        ({"to": ["a@x.test, b@x.test"]}, 422, "to.0: has 2 addresses"),
        ({"from_": "a@acme.test\r\nBcc: b@x.test"}, 422, "from: has a line end"),
        ({"subject": "a\nBcc: b@x.test"}, 422, "subject: has a line end"),
        ({"headers": {"X-A": "a\r\nBcc: b@x.test"}}, 422, "headers.X-A: has a line end"),
        ({"headers": {"X A": "a"}}, 422, "is no name of a header field"),
        ({"headers": {"Received": "a"}}, 422, "is made of the other keys"),
        ({"attachments": [{"name": "a", "content": "%"}]}, 422, "attachments.0.content: is not base64"),
        ({"send_at": "2026-12-01T09:00:00"}, 422, "send_at: has no time zone"),
        ({"send_at": "2999-12-01T09:00:00Z"}, 422, "days ahead"),
        ({"text": None, "html": None}, 422, "no content: give text, html, or both"),
        ({"provider": "nothing"}, 422, 'no provider "nothing"'),
        ({"from_": "other@beta.test"}, 403, "belongs to other credentials"),
        ({"text": "x" * 300_001}, 413, "larger than the 300000 octets"),
        ({"text": "x" * 600_001}, 413, "larger than the"),
        ({"to": [f"a{n}@x.test" for n in range(21)]}, 422, "20 are allowed"),
        ({"tags": ["x" * 501]}, 422, "tags.0: "),
        ({"substitutions": {"c@x.test": {"a": "b"}}}, 422, "no address of to"),
        ({"text": "a\0b"}, 422, "text: has a character that is no text"),
    ],
)
async def test_a_refused_message_is_a_problem_that_says_what_would_be_right(
    world: World, message: dict[str, Any], status: int, said: str
) -> None:
    answer = await world.shop.post("/messages", with_keys(**message))
    assert (answer.status, answer.headers["Content-Type"].partition(";")[0]) == (status, "application/problem+json")
    assert said in answer.json["detail"]


@pytest.mark.parametrize(
    ("body", "kind", "status", "said"),
    [
        (b"{", "application/json", 400, "is not JSON"),
        (b"[]", "application/json", 422, "dict"),
        (b"from=a", "application/x-www-form-urlencoded", 415, "must be application/json or message/rfc822"),
        (MAIL, "message/rfc822", 422, "to: give 1 to"),
        (b'{"from": "\\ud800"}', "application/json", 400, "is not JSON"),
    ],
)
async def test_a_body_of_another_form_is_a_problem(
    world: World, body: bytes, kind: str, status: int, said: str
) -> None:
    answer = await world.shop.post("/messages", body, {"Content-Type": kind})
    assert (answer.status, said in answer.json["detail"]) == (status, True), answer.json


async def test_messages_of_other_credentials_are_as_unknown_ones(world: World) -> None:
    queue_id = (await world.shop.post("/messages", with_keys(sandbox=True))).json["queue_id"]
    for method, path in (("GET", queue_id), ("DELETE", queue_id), ("GET", "ABC"), ("GET", "0" * len(queue_id))):
        answer = await world.other.request(method, f"/messages/{path}")
        assert (answer.status, "there is no message" in answer.json["detail"]) == (404, True)
    assert (await world.other.get("/messages")).json["messages"] == []
    assert (await world.reader.get(f"/messages/{queue_id}")).status == 200


async def test_sending_needs_its_scope(world: World) -> None:
    answer = await world.reader.post("/messages", MESSAGE)
    assert (answer.status, 'has no scope "send"' in answer.json["detail"]) == (403, True)
    assert (await world.shop.request("POST", "/messages", MESSAGE, login="")).status == 401
    assert "secret" not in json.dumps(world.relay.log("server.started"))


async def test_a_repetition_with_the_key_gets_the_first_answer(world: World) -> None:
    key = {"Idempotency-Key": '"order-1042"'}
    first = await world.shop.post("/messages", MESSAGE, key)
    await world.sent(first.json["queue_id"])
    again = await world.shop.post("/messages", MESSAGE, {"Idempotency-Key": "order-1042"})
    assert (again.status, again.json, again.headers["Idempotent-Replayed"]) == (202, first.json, "true")
    assert "Idempotent-Replayed" not in first.headers
    other = await world.shop.post("/messages", with_keys(subject="another"), key)
    assert (other.status, "used for another message" in other.json["detail"]) == (422, True)
    tagged = await world.shop.post("/messages", with_keys(tags=["x"]), key)
    assert tagged.status == 422
    assert (await world.shop.post("/messages", MESSAGE, {"Idempotency-Key": ""})).status == 400


async def test_a_repetition_of_copies_sends_none_again(world: World) -> None:
    key = {"Idempotency-Key": "newsletter-7"}
    given = with_keys(
        to=[f"r{n}@reader.test" for n in range(5)],
        substitutions={f"r{n}@reader.test": {"Ada": f"Reader {n}"} for n in range(5)},
    )
    first = await world.shop.post("/messages", given, key)
    again = await world.shop.post("/messages", given, key)
    assert (again.json, again.headers["Idempotent-Replayed"]) == (first.json, "true")
    fewer = {**given, "to": given["to"][:1], "substitutions": {}}
    assert (await world.shop.post("/messages", fewer, key)).status == 422
    other = {**given, "to": [*given["to"], "more@reader.test"]}
    assert (await world.shop.post("/messages", other, key)).status == 422


async def test_a_repetition_of_a_batch_sends_none_again(world: World) -> None:
    key = {"Idempotency-Key": "batch-7"}
    body = {"messages": [MESSAGE, with_keys(to=["bob@reader.test"]), {}]}
    first = await world.shop.post("/messages/batch", body, key)
    assert (await world.shop.post("/messages/batch", body, key)).json == first.json


async def test_each_request_has_an_id_in_its_answer_and_in_the_log(world: World) -> None:
    answer = await world.shop.request("GET", "/messages?recipient=private@x.test", headers={"X-Request-Id": "mine-1"})
    assert answer.headers["X-Request-Id"] == "mine-1"
    other = await world.shop.request("GET", "/nothing", headers={"X-Request-Id": "a b"}, login="")
    assert (other.status, len(other.headers["X-Request-Id"])) == (404, 16)
    await until(lambda: [one for one in world.relay.log("api.request") if one["request"] == "mine-1"])
    (line,) = [one for one in world.relay.log("api.request") if one["request"] == "mine-1"]
    assert (line["credential"], line["method"], line["path"], line["status"]) == (
        "shop",
        "GET",
        "/api/v1/messages",
        200,
    )
    assert "private@x.test" not in json.dumps(world.relay.log("api.request"))


async def test_the_page_describes_every_operation_without_a_script(world: World) -> None:
    described = (await world.shop.request("GET", "/../openapi.json", login="")).json
    url = f"http://127.0.0.1:{world.shop.port}/api/"
    async with aiohttp.ClientSession() as client, client.get(url) as answer:
        text, policy = await answer.text(), answer.headers["Content-Security-Policy"]
    assert "script" not in text.partition("<body>")[0]
    assert "<script" not in text
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    for path in described["paths"]:
        assert path in text
    links = set(re.findall(r'href="#([^"]+)"', text))
    assert links <= set(re.findall(r'id="([^"]+)"', text))
