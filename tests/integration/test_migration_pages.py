"""The pages for people who move: each example mail through a relay."""

import asyncio
import re
import smtplib
from pathlib import Path

import pytest
from click.testing import CliRunner

from relay.cli.explain import explain
from tests.documentation import Block, blocks_of, steps_of, text_of
from tests.integration.application_relay import FROM, TO, World, world

__all__ = ["world"]

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGES = [f"docs/from-{name}.md" for name in ("sendgrid", "mailgun", "postmark", "ses", "postal")]


def block_of(page: str, language: str, index: int = 0) -> Block:
    return [one for one in blocks_of(text_of(page)) if one.language == language][index]


@pytest.mark.parametrize("page", PAGES)
async def test_the_mail_of_the_page_is_explained_as_shown_and_leaves_without_the_fields(
    world: World, page: str, tmp_path: Path
) -> None:
    mail = block_of(page, "text").text
    (tmp_path / "mail.eml").write_text(mail)
    (step,) = steps_of(block_of(page, "console").text)
    done = await asyncio.to_thread(CliRunner().invoke, explain, [str(tmp_path / "mail.eml")])
    assert done.exit_code == 0
    assert done.output.strip() == step.output.strip()

    before = len(world.sink.messages)
    queue_id = await asyncio.to_thread(_submit, world, mail.replace("\n", "\r\n").encode())
    header = (await world.arrived(before)).partition(b"\r\n\r\n")[0].lower()
    for name in re.findall(r"^removed: (.+)$", step.output, re.MULTILINE):
        assert f"\r\n{name.lower()}:".encode() not in header
    assert b"message-id: <1042@example.com>" in header

    (story,) = await world.relay.json("trace", queue_id)
    shown = dict(re.findall(r"^understood: (tags|metadata): (.+)$", step.output, re.MULTILINE))
    assert ", ".join(story["tags"]) == shown.get("tags", "")
    assert ", ".join(f"{name}={value}" for name, value in story["metadata"].items()) == shown.get("metadata", "")
    ignored = re.findall(r"^ignored: (.+)$", step.output, re.MULTILINE)
    assert story["events"][0].get("ignored_fields", []) == ignored


def _submit(world: World, mail: bytes) -> str:
    with smtplib.SMTP("127.0.0.1", world.relay.port, timeout=20) as client:
        client.ehlo()
        client.mail(FROM)
        client.rcpt(TO)
        code, text = client.data(mail)
        assert code == 250, text
        return text.decode().rsplit(" ", 1)[1]
