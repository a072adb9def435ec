"""What Ghost's client of Mailgun does, by the library it uses, against a running relay."""

import asyncio
import json
import os
import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from relay.config.credentials import new_key
from relay.config.secret_hash import hash_secret
from tests.ports import free_port
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Say, Sink
from tests.servers.vendor_client import VendorClient
from tests.servers.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

DRIVER = Path(__file__).parents[1] / "golden" / "clients" / "ghost.js"

PACKAGES = [Path(one, "node_modules") for one in ("/usr/local/lib", "/usr/lib")]
"""Folders of global packages of npm."""

KEY = new_key("ghost", bytes(range(32)))

QUERY = {
    "limit": 300,
    "event": "delivered OR opened OR failed OR unsubscribed OR complained",
    "tags": "bulk-email",
    "ascending": "yes",
}

MESSAGE = {
    "id": "6753f1a2",
    "from": '"Größe & Söhne" <news@acme.test>',
    "replyTo": "editor@acme.test",
    "subject": "Hello %recipient.name%",
    "html": '<p>Dear %recipient.name%, <a href="https://blog.acme.test/%recipient.uuid%">read</a> or '
    '<a href="%recipient.unsubscribe_url%">unsubscribe</a>.</p>',
    "plaintext": "Dear %recipient.name%\n%recipient.unsubscribe_url%\n",
    "tags": ["bulk-email", "blog"],
    "trackOpens": True,
}


def people(prefix: str, count: int) -> dict[str, dict[str, str]]:
    return {
        f"{prefix}{number}@reader.test": {
            "name": f"G & {number}",
            "uuid": f"u-{number}",
            "unsubscribe_url": f"https://blog.acme.test/unsubscribe/?uuid={number}&key=k",
            "list_unsubscribe": f"https://blog.acme.test/unsubscribe/?uuid={number}",
            "message_id": f"{prefix}.{number}@acme.test",
        }
        for number in range(count)
    }


@dataclass(frozen=True, slots=True)
class World:
    relay: RelayProcess
    sink: Sink
    client: VendorClient

    async def ghost(self, action: str, **given: Any) -> Any:
        """Run the driver; skip without the library."""
        node = shutil.which("node")
        packages = next((one for one in PACKAGES if (one / "mailgun.js").exists()), None)
        if node is None or packages is None:
            pytest.skip("needs node, and `npm install --global mailgun.js form-data`")
        process = await asyncio.create_subprocess_exec(
            *(node, str(DRIVER), f"{self.client.url}/v3", KEY, "mg.acme.test", json.dumps({"action": action, **given})),
            env=os.environ | {"NODE_PATH": str(packages)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        return json.loads(output)

    async def arrived(self, address: str) -> bytes:
        """Return what this address got."""

        def found() -> list[bytes]:
            return [one.content for one in self.sink.messages if address in one.recipients]

        await until(found)
        return found()[-1]

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
    port = free_port()
    toml = f"""
[api]
address = "127.0.0.1:{port}"
[credentials.ghost]
secret_hash = "{hash_secret(KEY, bytes(16))}"
scopes = ["send", "read", "suppressions"]
[domains."acme.test"]
tracking = {{ base_url = "https://t.acme.test" }}
"""
    async with Sink() as sink, RelayProcess(tmp_path_factory.mktemp("ghost"), sink.port, toml) as relay:
        yield World(relay, sink, VendorClient(port, KEY))


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
    assert b"/o/" in mail

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
