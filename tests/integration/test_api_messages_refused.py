"""Messages over HTTP that are refused: each answer says what would be right."""

import json
from typing import Any

import pytest

from tests.integration.message_relay import MAIL, MESSAGE, World, with_keys, world

__all__ = ["world"]

pytestmark = pytest.mark.asyncio(loop_scope="module")


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
