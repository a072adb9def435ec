"""The forms of mail services, by the clients that the services publish, against a running relay."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from relay.config.credentials import new_key
from relay.config.secret_hash import hash_secret
from tests.ports import free_port
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink
from tests.servers.vendor_client import VendorClient, leaves
from tests.servers.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY, OTHER, READER = (new_key(name, bytes([number] * 32)) for number, name in enumerate(("app", "other", "reader"), 1))


def configuration(port: int) -> str:
    hashes = {key: hash_secret(key, bytes(16)) for key in (KEY, OTHER, READER)}
    return f"""
[api]
address = "127.0.0.1:{port}"
[credentials.app]
secret_hash = "{hashes[KEY]}"
scopes = ["send", "read", "suppressions"]
[credentials.other]
secret_hash = "{hashes[OTHER]}"
scopes = ["send", "read", "suppressions"]
[credentials.reader]
secret_hash = "{hashes[READER]}"
scopes = ["read"]
[compat.sendgrid.groups]
7 = "newsletter"
[compat.postmark.streams]
broadcast = "newsletter"
[domains."acme.test"]
tracking = {{ base_url = "https://t.acme.test" }}
[identities."other@beta.test"]
credentials = ["other"]
"""


@dataclass(frozen=True, slots=True)
class World:
    relay: RelayProcess
    sink: Sink
    client: VendorClient

    async def arrived(self, address: str) -> bytes:
        """Return what this address got."""

        def found() -> list[bytes]:
            return [one.content for one in self.sink.messages if address in one.recipients]

        await until(found)
        return found()[-1]

    async def story(self, address: str) -> dict[str, Any]:
        """Return the trace of the last message to this address."""
        return (await self.relay.json("trace", address))[0]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    port = free_port()
    folder = tmp_path_factory.mktemp("vendors")
    async with Sink() as sink, RelayProcess(folder, sink.port, configuration(port)) as relay:
        yield World(relay, sink, VendorClient(port, KEY))


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


async def test_the_library_of_sendgrid(world: World) -> None:
    script = f"""
import sendgrid
from sendgrid.helpers.mail import *
mail = Mail(from_email=("news@acme.test", "Größe"), subject="plain -name-", html_content="<p>Hi -name-</p>",
            plain_text_content="Hi -name-")
for n in range(2):
    to = Personalization()
    to.add_to(Email(f"s{{n}}@reader.test", f"S {{n}}"))
    to.add_substitution(Substitution("-name-", f"S&{{n}}"))
    to.add_custom_arg(CustomArg("order", str(n)))
    mail.add_personalization(to)
mail.category = [Category("a"), Category("b")]
mail.asm = Asm(7)
mail.tracking_settings = TrackingSettings(click_tracking=ClickTracking(True, False))
mail.attachment = Attachment(FileContent("SGVsbG8="), FileName("a.txt"), FileType("text/plain"))
client = sendgrid.SendGridAPIClient("{KEY}", host="{world.client.url}")
answer = client.send(mail)
assert answer.status_code == 202 and answer.headers["X-Message-Id"], answer.body
mail.mail_settings = MailSettings(sandbox_mode=SandBoxMode(True))
assert client.send(mail).status_code == 200
mail.template_id = "d-1"
try:
    client.send(mail)
except Exception as error:
    assert error.status_code == 400
    assert error.to_dict["errors"][0]["field"] == "template_id", error.to_dict
else:
    raise AssertionError
"""
    await _python(script)
    mail = await world.arrived("s1@reader.test")
    assert b"Subject: plain S&1\r\n" in mail
    assert b"Hi S&amp;1" in mail
    assert b"List-Unsubscribe: " in mail
    story = await world.story("s1@reader.test")
    assert (story["campaign"], sorted(story["tags"]), story["metadata"]) == ("newsletter", ["a", "b"], {"order": "1"})


async def test_the_library_of_postmark(world: World) -> None:
    script = f"""
from postmarker.core import PostmarkClient
client = PostmarkClient(server_token="{KEY}", account_token="x")
client.root_api_url = "{world.client.url}"
answer = client.emails.send(From="News <news@acme.test>", To="p@reader.test", Subject="one", HtmlBody="<p>Hi</p>",
    TextBody="Hi", Tag="t", Metadata={{"order": "7"}}, TrackOpens=False, MessageStream="broadcast",
    Headers={{"X-Order": "7"}}, Attachments=[("a.txt", "SGVsbG8=", "text/plain")])
assert answer["ErrorCode"] == 0 and answer["To"] == "p@reader.test", answer
many = client.emails.send_batch({{"From": "news@acme.test", "To": "pb@reader.test", "Subject": "x", "TextBody": "Hi"}},
    {{"From": "news@acme.test", "To": "gone@reader.test", "Subject": "x", "TextBody": "Hi"}})
assert [one["ErrorCode"] for one in many] == [0, 406], many
"""
    pytest.importorskip("postmarker")
    await world.relay.run("suppression", "add", "gone@reader.test")
    await _python(script)
    mail = await world.arrived("p@reader.test")
    assert b"X-Order: 7\r\n" in mail
    story = await world.story("p@reader.test")
    assert (story["campaign"], story["tags"], story["metadata"]) == ("newsletter", ["t"], {"order": "7"})
    await world.arrived("pb@reader.test")


@pytest.mark.parametrize("vendor", ["mailgun", "sendgrid", "postmark"])
async def test_the_backends_of_anymail(world: World, vendor: str) -> None:
    url = world.client.url
    settings = {
        "mailgun": {"MAILGUN_API_KEY": KEY, "MAILGUN_API_URL": f"{url}/v3"},
        "sendgrid": {"SENDGRID_API_KEY": KEY, "SENDGRID_API_URL": f"{url}/v3/", "SENDGRID_MERGE_FIELD_FORMAT": "-{}-"},
        "postmark": {"POSTMARK_SERVER_TOKEN": KEY, "POSTMARK_API_URL": f"{url}/"},
    }[vendor]
    script = f"""
import warnings
warnings.simplefilter("ignore")
from django.conf import settings
settings.configure(ANYMAIL={settings!r}, EMAIL_BACKEND="anymail.backends.{vendor}.EmailBackend")
import django
django.setup()
from anymail.message import AnymailMessage
mail = AnymailMessage("Hello", "Hi", "News <news@acme.test>", ["{vendor}1@reader.test", "{vendor}2@reader.test"],
                      reply_to=["editor@acme.test"], headers={{"X-Order": "7"}})
mail.attach_alternative("<p>Hi</p>", "text/html")
mail.attach("a.txt", "größe", "text/plain")
mail.tags, mail.metadata, mail.track_opens, mail.track_clicks = ["t"], {{"order": "7"}}, False, True
mail.merge_metadata = {{"{vendor}1@reader.test": {{"who": "one"}}, "{vendor}2@reader.test": {{"who": "two"}}}}
assert mail.send() == 1
for address, found in mail.anymail_status.recipients.items():
    assert found.status in ("queued", "sent"), (address, found)
"""
    await _python(script)
    mail = await world.arrived(f"{vendor}1@reader.test")
    assert b"X-Order: 7\r\n" in mail
    assert b"Reply-To: editor@acme.test\r\n" in mail
    assert b".test/o/" not in mail
    story = await world.story(f"{vendor}1@reader.test")
    assert story["tags"] == ["t"]
    assert {"order": "7", "who": "one"}.items() <= story["metadata"].items()


async def _python(script: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", script), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
