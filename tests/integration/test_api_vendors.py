"""The forms of SendGrid and Postmark, by the clients that the services and Anymail publish, against a running relay."""

import asyncio
import sys

import pytest

from tests.integration.vendor_relay import KEY, World, world

__all__ = ["world"]

pytestmark = pytest.mark.asyncio(loop_scope="module")


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
