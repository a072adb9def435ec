"""Messages over HTTP, against a running relay: sent, read, cancelled, repeated."""

import asyncio
import email
import email.policy
import json
import re
from base64 import b64encode
from typing import Any

import aiohttp
import pytest

from tests.integration.message_relay import MAIL, MESSAGE, World, with_keys, world
from tests.servers.waiting import until

__all__ = ["world"]

pytestmark = pytest.mark.asyncio(loop_scope="module")


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
