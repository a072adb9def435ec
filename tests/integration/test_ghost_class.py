"""Ghost's own class for Mailgun, with its own options, against a running relay.

The class is not part of this repository: RELAY_GHOST_CLIENT names its file (`mailgun-client.js` of Ghost, beside the
other files of its folder), or it is beside the shared data. What it does is tested without it in `test_ghost.py`.
"""

import json
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.servers import ghost
from tests.servers.api_client import ApiClient
from tests.servers.ghost import DOMAIN, KEY, QUERY, GhostRelay, people
from tests.servers.sink import Say
from tests.servers.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHARED = Path(__file__).parents[3] / "shared" / "ghost" / "mailgun-client.js"

MESSAGE = {
    **ghost.MESSAGE,
    "subject": "Hello",
    "html": '<p>Dear %%{name}%%, <a href="https://blog.acme.test/">read</a> or <a href="%%{stop}%%">leave</a>.</p>',
    "plaintext": "Dear %%{name}%%\n%%{stop}%%\n",
    "tags": ["bulk-email"],
    "track_opens": True,
}

REPLACEMENTS = [
    {"format": form, "regexp": rf"%%\{{{word}\}}%%", "id": name}
    for form in ("html", "plaintext")
    for word, name in (("name", "name"), ("stop", "unsubscribe_url"))
]


@dataclass(frozen=True, slots=True)
class World(GhostRelay):
    @property
    def api(self) -> ApiClient:
        return ApiClient(self.port, f"ghost:{KEY}")

    async def ghost(self, action: str, mailgun: dict[str, Any] | None = None, **given: Any) -> dict[str, Any]:
        """Run the class, configured as in the file of Ghost; skip without it."""
        own = {"baseUrl": self.base_url, "apiKey": KEY, "domain": DOMAIN}
        request = {"action": action, "bulkEmail": {"mailgun": {**own, **(mailgun or {})}}, **given}
        file = Path(os.environ.get("RELAY_GHOST_CLIENT", SHARED))
        answer: dict[str, Any] = await ghost.run_driver("ghost_class.js", json.dumps(request), file=file)
        return answer

    async def batches(self, count: int, **query: Any) -> list[list[dict[str, Any]]]:
        """Return the batches of events once there are that many events."""
        found: list[list[dict[str, Any]]] = []

        async def are_found() -> bool:
            found[:] = (await self.ghost("events", query={**QUERY, **query}))["result"]
            return sum(map(len, found)) >= count

        await until(are_found)
        return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with ghost.ghost_relay(tmp_path_factory.mktemp("ghost")) as found:
        yield World(found.relay, found.sink, found.port)


async def test_its_options_are_read(world: World) -> None:
    answer = await world.ghost("configured")
    assert answer["result"] == [True, 1000, 0]


async def test_a_newsletter_is_sent_and_its_events_are_fetched_in_batches(world: World) -> None:
    begin = time.time()
    readers = people("c", 7)
    world.sink.once("RCPT", Say("550 5.1.1 no such user"))
    sent = await world.ghost("send", message=MESSAGE, recipients=readers, replacements=REPLACEMENTS)
    assert (sent["logged"], sent["result"]["id"].endswith("@acme.test>")) == ([], True), sent

    batches = await world.batches(7, begin=begin, limit=3)
    assert max(map(len, batches)) <= 3
    events = [one for batch in batches for one in batch]
    assert {one["recipientEmail"] for one in events} == set(readers)
    assert {one["emailId"] for one in events} == {"6753f1a2"}
    assert {f"<{one['providerId']}>" for one in events} == {sent["result"]["id"]}
    assert sorted(one["type"] for one in events) == ["delivered"] * 6 + ["failed"]
    (failed,) = [one for one in events if one["type"] == "failed"]
    assert (failed["severity"], failed["error"]["enhancedCode"]) == ("permanent", "5.1.1")

    delivered = next(one["recipientEmail"] for one in events if one["type"] == "delivered")
    mail = next(one.content for one in world.sink.messages if delivered in one.recipients)
    number = delivered.removeprefix("c").partition("@")[0]
    assert f"Dear G &amp; {number}, <a".encode() in mail
    assert f"List-Unsubscribe: <https://blog.acme.test/unsubscribe/?uuid={number}>\r\n".encode() in mail
    assert b"X-Auto-Response-Suppress: OOF, AutoReply\r\n" in mail


async def test_the_test_mode_and_a_delivery_time(world: World) -> None:
    begin = time.time()
    given = {"recipients": people("m", 1), "replacements": REPLACEMENTS}
    tested = await world.ghost("send", {"testmode": True}, message=MESSAGE, **given)
    assert tested["logged"] == []
    batches = await world.batches(1, begin=begin)
    assert [(one["recipientEmail"], one["error"]["code"]) for one in batches[0]] == [("m0@reader.test", 650)]
    later = {**MESSAGE, "deliveryTime": (time.time() + 7200) * 1000}
    await world.ghost("send", message=later, recipients=people("l", 1), replacements=REPLACEMENTS)
    story = (await world.relay.json("trace", "l0@reader.test"))[0]
    assert story["recipients"][0]["release_at"] is not None


async def test_suppressions_are_lifted_and_refusals_have_their_details(world: World) -> None:
    address = "a+b@reader.test"
    await world.relay.run("suppression", "add", address, "--domain", "acme.test")
    assert (await world.ghost("remove", email=address))["result"].count(True) >= 1
    assert (await world.api.get("/suppressions?domain=acme.test&address=a%2Bb@reader.test")).json["suppressions"] == []
    refused = await world.ghost(
        "send", message={**MESSAGE, "from": "no address"}, recipients=people("r", 1), replacements=REPLACEMENTS
    )
    assert (refused["result"]["status"], refused["result"]["details"][:5]) == (400, "from:")
    wrong = await world.ghost("send", {"apiKey": "wrong"}, message=MESSAGE, recipients=people("w", 1), replacements=[])
    assert wrong["result"]["status"] == 401
