"""What Ghost's client of Mailgun does, by the library it uses, against a running relay."""

import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest
import pytest_asyncio

from tests.servers import ghost
from tests.servers.ghost import DOMAIN, KEY, QUERY, GhostRelay, people
from tests.servers.sink import Say
from tests.servers.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

MESSAGE = {
    **ghost.MESSAGE,
    "subject": "Hello %recipient.name%",
    "html": '<p>Dear %recipient.name%, <a href="https://blog.acme.test/%recipient.uuid%">read</a> or '
    '<a href="%recipient.unsubscribe_url%">unsubscribe</a>.</p>',
    "plaintext": "Dear %recipient.name%\n%recipient.unsubscribe_url%\n",
    "tags": ["bulk-email", "blog"],
    "trackOpens": True,
}


@dataclass(frozen=True, slots=True)
class World(GhostRelay):
    async def ghost(self, action: str, **given: Any) -> Any:
        """Do what Ghost does by the library; skip without it."""
        request = json.dumps({"action": action, **given})
        return await ghost.run_driver("ghost.js", self.base_url, KEY, DOMAIN, request)

    async def arrived(self, address: str) -> bytes:
        """Return what this address got."""
        return (await self.sink.received_by(address)).content

    async def events(self, count: int, **query: Any) -> list[dict[str, Any]]:
        """Return the events once Ghost finds that many."""
        found: list[dict[str, Any]] = []

        async def are_found() -> bool:
            found[:] = await self.ghost("events", query={**QUERY, **query})
            return len(found) >= count

        await until(are_found)
        return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with ghost.ghost_relay(tmp_path_factory.mktemp("ghost")) as found:
        yield World(found.relay, found.sink, found.port)


async def test_a_newsletter_and_its_events(world: World) -> None:
    begin = time.time()
    readers = people("g", 3)
    answer = await world.ghost("send", message=MESSAGE, recipients=readers)
    assert answer.get("id", "").endswith("@acme.test>"), answer
    mail = await world.arrived("g2@reader.test")
    assert b"List-Unsubscribe: <https://blog.acme.test/unsubscribe/?uuid=2>\r\n" in mail
    assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in mail
    assert b"Auto-Submitted: auto-generated\r\n" in mail
    assert b"Sender: " in mail
    assert b"Dear G &amp; 2, <a" in mail
    assert b".test/o/" in mail

    found = await world.events(3, begin=begin)
    assert {one["recipientEmail"] for one in found} == set(readers)
    assert {one["emailId"] for one in found} == {"6753f1a2"}
    assert {f"<{one['providerId']}>" for one in found} == {answer["id"]}
    assert {one["type"] for one in found} == {"delivered"}
    assert await world.ghost("events", query={**QUERY, "begin": begin, "tags": "bulk-email AND other"}) == []


async def test_failures_have_what_ghost_stores_of_them(world: World) -> None:
    begin = time.time()
    world.sink.once("RCPT", Say("550 5.1.1 no such user"))
    await world.ghost("send", message={**MESSAGE, "tags": ["bulk-email", "bounced"]}, recipients=people("b", 1))
    (failed,) = await world.events(1, begin=begin, tags="bulk-email AND bounced")
    assert (failed["type"], failed["severity"]) == ("failed", "permanent")
    assert failed["error"] == {"code": 550, "message": "5.1.1 no such user", "enhancedCode": "5.1.1"}


async def test_the_test_mode_sends_nothing_and_is_delivered(world: World) -> None:
    begin = time.time()
    message = {**MESSAGE, "tags": ["bulk-email", "tested"]}
    await world.ghost("send", message=message, recipients=people("t", 1), testmode=True)
    (event,) = await world.events(1, begin=begin, tags="bulk-email AND tested")
    assert (event["type"], event["recipientEmail"], event["error"]["code"]) == ("delivered", "t0@reader.test", 650)
    assert not [one for one in world.sink.messages if "t0@reader.test" in one.recipients]


async def test_a_delivery_time_holds_the_newsletter_back(world: World) -> None:
    at = datetime.fromtimestamp(time.time() + 7200, UTC)
    message = {**MESSAGE, "deliveryTime": format_datetime(at, usegmt=False)}
    await world.ghost("send", message=message, recipients=people("d", 1))
    story = (await world.relay.json("trace", "d0@reader.test"))[0]
    release = datetime.fromisoformat(story["recipients"][0]["release_at"])
    assert abs((release - at).total_seconds()) <= 1


async def test_each_reader_may_have_a_message_id_of_its_own(world: World) -> None:
    readers = people("i", 2)
    await world.ghost("send", message={**MESSAGE, "messageIds": True}, recipients=readers)
    for address, values in readers.items():
        assert f"Message-ID: <{values['message_id']}>".lower().encode() in (await world.arrived(address)).lower()


@pytest.mark.parametrize("name", ["bounces", "complaints", "unsubscribes"])
async def test_a_suppression_is_lifted_on_each_list(world: World, name: str) -> None:
    email = f"a+{name}@reader.test"
    assert await world.ghost("remove", list=name, email=email) is False
    await world.ghost("create", list=name, entry={"address": email})
    assert (await world.ghost("get", list=name, email=email))["address"] == email
    listed = await world.ghost("list", list=name, query={"limit": 10})
    assert email in [one["address"] for one in listed["items"]]
    following = await world.ghost("list", list=name, query={"page": listed["pages"]["next"]["page"]})
    assert following["items"] == []
    assert await world.ghost("remove", list=name, email=email) is True
    listed = await world.ghost("list", list=name, query={})
    assert email not in [one["address"] for one in listed["items"]]


async def test_an_error_is_in_the_details(world: World) -> None:
    refused = await world.ghost("send", message={**MESSAGE, "from": "no address"}, recipients=people("e", 1))
    assert (refused["status"], refused["details"][:5]) == (400, "from:")
