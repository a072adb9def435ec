"""Commands of webhooks that need no server: secrets, keys, schemas, and the receiver for people who build one."""

import asyncio
import base64
import json
import sys
from pathlib import Path

import aiohttp
from click.testing import CliRunner

from relay.cli import main
from relay.clock import system_clock
from relay.webhooks.signing import new_secret, parse_key, sendgrid_key, sendgrid_public, standard_headers
from tests.servers.waiting import PATIENCE
from tests.servers.webhook_harness import SECRET

PRIVATE = f"whsk_{base64.b64encode(b'p' * 32).decode()}"


def run(*arguments: str) -> str:
    done = CliRunner().invoke(main, list(arguments))
    assert done.exit_code == 0, done.output
    return done.output


def test_new_prints_a_secret_and_the_section_for_the_configuration() -> None:
    first, second = (run("webhook", "new", "crm", "--url", "https://crm.example.com/") for _ in range(2))
    secret = next(word for word in first.split() if word.startswith("whsec_"))
    assert parse_key(secret)
    assert secret not in second
    assert 'url = "https://crm.example.com/"' in first


def test_key_prints_what_each_receiver_needs(tmp_path: Path) -> None:
    config = tmp_path / "relay.toml"
    sections = "".join(
        f'[[webhook]]\nname = "{name}"\nformat = "{kind}"\nurl = "https://x.example.com/"\n'
        f"secret = {json.dumps(keys)}\n"
        for name, kind, keys in (
            ("sendgrid", "sendgrid", [SECRET]),
            ("mailgun", "mailgun", [SECRET]),
            ("both", "standard", [SECRET, PRIVATE]),
            ("none", "slack", []),
        )
    )
    config.write_text(f'[server]\ndata_dir = "{tmp_path / "data"}"\n{sections}')
    config.chmod(0o600)
    assert sendgrid_public(sendgrid_key(parse_key(SECRET))) in run("webhook", "key", "sendgrid", "-c", str(config))
    assert SECRET in run("webhook", "key", "mailgun", "-c", str(config))
    both = run("webhook", "key", "both", "-c", str(config))
    assert SECRET in both
    assert "whpk_" in both
    assert PRIVATE not in both
    assert "not signed" in run("webhook", "key", "none", "-c", str(config))


def test_schema_prints_json() -> None:
    assert json.loads(run("webhook", "schema", "message.click"))["title"] == "message.click"


async def test_listen_verifies_and_prints_posts() -> None:
    command = ["webhook", "listen", "--port", "0", "--secret", SECRET]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "relay.cli", *command, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):
            line = (await process.stdout.readline()).decode()
            url = next(word for word in line.split() if word.startswith("http://"))
            body = '{"type":"message.open","data":{"recipient":"zoë@x.test"}}'.encode()
            for secret, status in ((SECRET, 204), (new_secret(b"other" * 8), 401)):
                headers = standard_headers([parse_key(secret)], "evt_a", system_clock(), body)
                async with aiohttp.ClientSession() as client, client.post(url, data=body, headers=headers) as answer:
                    assert answer.status == status
            printed = ""
            while "no signature in it" not in printed:
                printed += (await process.stdout.readline()).decode()
            assert "evt_a  verified" in printed
            assert "zoë@x.test" in printed
    finally:
        process.terminate()
        await process.wait()
