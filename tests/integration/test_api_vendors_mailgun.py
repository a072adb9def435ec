"""The form of Mailgun against a running relay: sending, events, suppressed addresses."""

import json
import time
from typing import Any

import pytest

from tests.integration.vendor_relay import OTHER, READER, World, world
from tests.servers.vendor_client import leaves
from tests.servers.waiting import until

__all__ = ["world"]

pytestmark = pytest.mark.asyncio(loop_scope="module")

NEWSLETTER = {
    "from": "Ghost <news@acme.test>",
    "to": ["ada@reader.test", "bob@reader.test"],
    "subject": "Hello %recipient.name%",
    "html": '<p>Dear %recipient.name%: <a href="https://acme.test/%recipient.id%">read</a> %recipient.none%</p>',
    "text": "Dear %recipient.name%",
    "recipient-variables": json.dumps(
        {"ada@reader.test": {"name": "A&B", "id": 7}, "bob@reader.test": {"name": "Bob"}}
    ),
    "h:Reply-To": "editor@acme.test",
    "h:List-Unsubscribe": "<https://acme.test/leave>, <%tag_unsubscribe_email%>",
    "h:X-Order": "%recipient.id%",
    "v:email-id": "e-%recipient.id%",
    "o:tag": ["ghost-email", "bulk-email"],
    "o:tracking-clicks": "no",
    "o:archive-to": "https://acme.test/",
}


class TestMailgun:
    async def test_each_recipient_gets_a_mail_with_its_own_texts(self, world: World) -> None:
        answer = await world.client.form("/v3/mg.acme.test/messages", NEWSLETTER)
        assert answer.status == 200, answer.text
        assert answer.json["message"] == "Queued. Thank you."
        mail = await world.arrived("ada@reader.test")
        header, _, body = mail.partition(b"\r\n\r\n")
        assert b"Subject: Hello A&B" in header
        assert b"X-Order: 7" in header
        assert b"Reply-To: editor@acme.test" in header
        assert b"List-Unsubscribe: <https://acme.test/leave>\r\n" in header
        assert f"Message-ID: {answer.json['id']}".encode() in header
        assert b"Dear A&amp;B" in body
        assert b"Dear A&B" in body
        assert b'"https://acme.test/7"' in body
        assert b"%recipient.none%" in body
        assert b"Dear Bob" in await world.arrived("bob@reader.test")

        story = await world.story("ada@reader.test")
        assert (story["tags"], story["metadata"]) == (["ghost-email", "bulk-email"], {"email-id": "e-7"})
        assert story["events"][0]["ignored_fields"] == [
            "o:archive-to: not done",
            "h:List-Unsubscribe: the unsubscribe address of Mailgun is left out",
            "recipient-variables id: not all recipients have a value",
            "recipient-variables none: not all recipients have a value",
        ]

    async def test_files_and_options_of_a_transactional_mail(self, world: World) -> None:
        octets = bytes(range(256)) * 9 + b"\r\n--x\r\n"
        files = [
            ("attachment", "größe.bin", "application/octet-stream", octets),
            ("inline", "logo.png", "image/png", b"P"),
        ]
        values = {"from": "news@acme.test", "to": "Eve <eve@reader.test>", "cc": "cc@reader.test", "subject": "Größe"}
        options = {"html": "<img src='cid:logo.png'>", "o:testmode": "no", "o:dkim": "no", "o:tracking": "no"}
        answer = await world.client.form("/v3/acme.test/messages", values | options, files)
        assert answer.status == 200, answer.text
        parts = leaves(await world.arrived("eve@reader.test"))
        assert [one.get_content_type() for one in parts] == ["text/html", "image/png", "application/octet-stream"]
        assert parts[2].get_payload(decode=True) == octets
        assert parts[2].get_filename() == "größe.bin"
        assert parts[1]["Content-ID"] == "<logo.png>"

    @pytest.mark.parametrize(
        ("changed", "status", "text"),
        [
            ({"to": []}, 400, "to parameter is missing"),
            ({"to": ["no address"]}, 400, "to: 'no address' is no list of addresses"),
            ({"template": "welcome"}, 400, "template: relay does not fill in templates"),
            ({"recipient-variables": "{"}, 400, "recipient-variables: not JSON"),
            ({"recipient-variables": '{"ada@reader.test": 7}'}, 400, "recipient-variables: {"),
            ({"h:X Y": "x"}, 400, "is no name of a header field"),
            ({"text": "", "html": ""}, 400, "the message has no content"),
        ],
    )
    async def test_a_fault_is_named_in_the_member_that_clients_read(
        self, world: World, changed: dict[str, Any], status: int, text: str
    ) -> None:
        answer = await world.client.form("/v3/mg.acme.test/messages", NEWSLETTER | changed)
        assert answer.status == status, answer.text
        assert text in answer.json["message"]

    async def test_logins_scopes_and_domains(self, world: World) -> None:
        client = world.client
        wrong = await client.form("/v3/acme.test/messages", NEWSLETTER, key="rk_app_" + "0" * 32)
        assert (wrong.status, wrong.text) == (401, "Forbidden")
        reader = await client.form("/v3/acme.test/messages", NEWSLETTER, key=READER)
        assert (reader.status, "no scope" in reader.json["message"]) == (403, True)
        unknown = await client.form("/v3/else.test/messages", NEWSLETTER)
        assert (unknown.status, unknown.json["message"]) == (404, "Domain not found: else.test")
        for path in ("events", "bounces/ada@reader.test"):
            other = await client.request("GET", f"/v3/acme.test/{path}", key=OTHER)
            assert other.status == 404
        sends = await client.form("/v3/beta.test/messages", NEWSLETTER, key=OTHER)
        assert sends.status == 403

    async def test_a_composed_message_is_sent_as_it_is(self, world: World) -> None:
        mail = b"From: news@acme.test\r\nTo: x\r\nSubject: whole\r\nX-Mailgun-Tag: t\r\n\r\nas it is\r\n"
        files = [("message", "message.mime", "application/octet-stream", mail)]
        answer = await world.client.form("/v3/acme.test/messages.mime", {"to": "mime@reader.test"}, files)
        assert answer.status == 200, answer.text
        assert b"Subject: whole\r\n\r\nas it is" in await world.arrived("mime@reader.test")

    async def test_events_are_paged_until_a_page_without_items(self, world: World) -> None:
        begin = time.time() - 60
        values = NEWSLETTER | {
            "to": [f"p{n}@reader.test" for n in range(5)],
            "o:tag": "paged",
            "recipient-variables": "{}",
        }
        await world.client.form("/v3/acme.test/messages", values)
        for number in range(5):
            await world.arrived(f"p{number}@reader.test")

        async def all_of(limit: int) -> list[dict[str, Any]]:
            query = f"limit={limit}&event=delivered+OR+failed&tags=paged&begin={begin:.6f}&ascending=yes"
            page = (await world.client.request("GET", f"/v3/acme.test/events?{query}")).json
            found: list[dict[str, Any]] = []
            while page["items"]:
                assert len(page["items"]) <= limit
                found += page["items"]
                path = page["paging"]["next"].removeprefix(world.client.url)
                page = (await world.client.request("GET", f"{path}?{query}")).json
            return found

        async def are_stored() -> bool:
            return len(await all_of(300)) == 5

        await until(are_stored)
        for limit in (1, 2, 300):
            assert sorted(one["recipient"] for one in await all_of(limit)) == sorted(values["to"])

    async def test_a_suppressed_address_is_shown_and_lifted(self, world: World) -> None:
        path = "/v3/acme.test/bounces/a%2Bb%40reader.test"
        missing = await world.client.request("DELETE", path)
        assert (missing.status, missing.json["message"]) == (404, "Address not found in bounces table")
        await world.relay.run("suppression", "add", "a+b@reader.test")
        assert (await world.client.request("GET", path)).json["address"] == "a+b@reader.test"
        other = await world.client.request("DELETE", path.replace("acme", "beta"), key=OTHER)
        assert other.status == 404
        removed = (await world.client.request("DELETE", path)).json
        assert removed == {"message": "Bounced address has been removed", "address": "a+b@reader.test"}
        assert (await world.client.request("GET", path)).status == 404
