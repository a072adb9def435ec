"""Applications of mail services send through relay: what the receiver gets, and what the trace says."""

import re
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from relay.mail.dialects.table import DIALECTS
from tests.integration.unsubscribe_relay import Relay
from tests.servers.sink import Received, Sink

pytestmark = pytest.mark.asyncio(loop_scope="module")

EXAMPLES = Path(__file__).parents[1] / "golden" / "dialects" / "documented.toml"

DOCUMENTED: dict[str, dict[str, Any]] = tomllib.loads(EXAMPLES.read_text(encoding="utf-8"))

COMPAT = """
[compat]
metadata_headers = ["X-Invoice-Number"]
[compat.sendgrid.groups]
7 = "newsletter"
"""

BODY = (
    b"Content-Type: text/html\r\n\r\n<html><body><p>Hello %opens%</p>"
    b'<a href="https://shop.test/">Shop</a> <a href="[leave]">Leave</a></body></html>\r\n'
)

SENDGRID = (
    b'X-SMTPAPI: {"unique_args": {"invoice": "1042"}, "category": ["invoice"], "asm_group_id": 7, "filters": {\r\n'
    b' "opentrack": {"settings": {"enable": 1, "replace": "%opens%"}}, "footer": {"settings": {"enable": 1}},\r\n'
    b' "subscriptiontrack": {"settings": {"enable": 1, "replace": "[leave]"}}}}\r\n'
)


class Harness(Relay):
    """A relay, and what its sink got of one message."""

    async def got(self, fields: bytes) -> tuple[Received, dict[str, Any]]:
        """Send a message with these fields. Return it as received, and its created event."""
        count = len(self.sink.messages)
        queue_id = await self.send(body=fields + BODY)
        received = (await self.sink.received(count + 1))[count]
        await self.fate(queue_id, "delivered")
        (story,) = await self.json("trace", queue_id)
        return received, story | {"created": next(one for one in story["events"] if one["event"] == "created")}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def harness(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Harness]:
    async with Sink() as sink:
        relay = Harness(tmp_path_factory.mktemp("dialects"), sink)
        relay.config.write_text(relay.config.read_text() + COMPAT)
        async with relay:
            yield relay


async def test_the_field_of_sendgrid_is_followed_and_removed(harness: Harness) -> None:
    got, story = await harness.got(SENDGRID)
    assert b"X-SMTPAPI" not in got.content
    assert b"%opens%" not in got.content
    assert b"[leave]" not in got.content
    assert got.content.count(b".test/o/") == got.content.count(b".test/c/") == 1
    assert b'<p>Hello <img src="https://t.acme.test/o/' in got.content
    assert b'<a href="https://t.acme.test/u/' in got.content
    assert b"List-Unsubscribe: <https://t.acme.test/u/" in got.content
    assert (story["campaign"], story["tags"], story["metadata"]) == ("newsletter", ["invoice"], {"invoice": "1042"})
    assert story["created"]["ignored_fields"] == ["X-SMTPAPI filters.footer: not done"]


@pytest.mark.parametrize("name", DOCUMENTED)
async def test_an_example_of_the_documentation_is_followed_and_removed(harness: Harness, name: str) -> None:
    example = DOCUMENTED[name]
    given = example["fields"].strip().replace("\n", "\r\n").encode() + b"\r\n"
    if "refused" in example:
        with pytest.raises(AssertionError, match=re.escape(example["refused"])):
            await harness.send(body=given + BODY)
        return

    got, story = await harness.got(given)
    assert (b".test/o/" in got.content, b".test/c/" in got.content) == (
        example.get("opens", True),
        example.get("clicks", True),
    )
    assert (story["tags"], story["metadata"]) == (example.get("tags", []), example.get("metadata", {}))
    assert (story["campaign"] or "") == example.get("campaign", "")
    assert story["created"].get("ignored_fields", []) == example.get("ignored", [])
    header = got.content.partition(b"\r\n\r\n")[0].lower()
    assert not [line for line in header.split(b"\r\n") if line.startswith(b"x-")]


async def test_each_dialect_has_a_documented_example() -> None:
    assert {name.partition(":")[0] for name in DOCUMENTED} == set(DIALECTS)


async def test_fields_that_servers_of_a_service_add_stay(harness: Harness) -> None:
    added = b"X-Mailgun-Sid: WyI3\r\nX-SES-Outgoing: 2026.12.01-192.0.2.1\r\n"
    got, story = await harness.got(added)
    assert added in got.content
    assert "ignored_fields" not in story["created"]


async def test_fields_of_the_application_stay_and_become_metadata(harness: Harness) -> None:
    got, story = await harness.got(b"X-Invoice-Number: 1042\r\n")
    assert b"X-Invoice-Number: 1042\r\n" in got.content
    assert story["metadata"] == {"X-Invoice-Number": "1042"}


async def test_a_template_is_refused_at_once(harness: Harness) -> None:
    with pytest.raises(AssertionError, match="X-MC-Template: relay does not fill in templates"):
        await harness.send(body=b"X-MC-Template: welcome\r\n" + BODY)


async def test_a_provider_may_keep_the_fields_it_reads(tmp_path: Path) -> None:
    async with Sink() as sink:
        relay = Relay(tmp_path, sink)
        kept = relay.config.read_text().replace('tls = "none"\n', 'tls = "none"\nkeeps_headers = ["ses"]\n')
        relay.config.write_text(kept)
        async with relay:
            await relay.send(body=b"X-SES-CONFIGURATION-SET: s\r\nX-PM-Tag: t\r\n" + BODY)
            (got,) = await sink.received(1)
    assert b"X-SES-CONFIGURATION-SET: s\r\n" in got.content
    assert b"X-PM-Tag" not in got.content


async def test_a_sandbox_message_is_recorded_and_reaches_nobody(harness: Harness) -> None:
    before = len(harness.sink.messages)
    delivered = await harness.fate(await harness.send(body=b"X-Mailgun-Drop-Message: yes\r\n" + BODY), "delivered")
    assert delivered["reply"] == "250 2.0.0 Sandbox"
    await harness.got(b"")
    assert len(harness.sink.messages) == before + 1


async def test_a_message_that_needs_tls_waits_at_a_server_without(harness: Harness) -> None:
    queue_id = await harness.send(body=b"X-Mailgun-Require-TLS: yes\r\n" + BODY)
    await harness.fate(queue_id, "deferred")
    (story,) = await harness.json("trace", queue_id)
    assert "requires TLS" in str(story["events"])
    await harness.run("queue", "delete", queue_id)


async def test_a_copy_is_a_recipient_of_its_own(harness: Harness) -> None:
    count = len(harness.sink.messages)
    queue_id = await harness.send(body=b"X-MC-BccAddress: archive@acme.test\r\n" + BODY)
    got = (await harness.sink.received(count + 2))[count:]
    assert sorted(one.recipients for one in got) == [["archive@acme.test"], ["u@rcpt.test"]]
    (story,) = await harness.json("trace", queue_id)
    assert [one["recipient"] for one in story["recipients"]] == ["u@rcpt.test", "archive@acme.test"]
    assert not any(b"archive@acme.test" in one.content for one in got)
