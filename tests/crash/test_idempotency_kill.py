"""kill -9 between the commit and the answer: a client that repeats with its key has one message, on both stores."""

import asyncio
import random
import smtplib
from pathlib import Path

import aiohttp
import pytest

from relay.config.secret_hash import hash_secret
from tests.ports import free_port
from tests.servers.api_client import ApiClient
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink

MESSAGES = 24

KILLS = 2


def configuration(port: int, url: str) -> str:
    storage = f'[storage]\nurl = "{url}"\n' if url else ""
    return f"""
{storage}
[api]
address = "127.0.0.1:{port}"
[credentials.shop]
secret_hash = "{hash_secret("secret", b"s" * 16)}"
scopes = ["send", "read"]
"""


async def post(client: ApiClient, number: int) -> str:
    """Send over HTTP until it is accepted, twice; return the queue id."""
    message = {"from": "a@acme.test", "to": [f"h{number}@rcpt.test"], "subject": str(number), "text": "x"}
    found: list[str] = []
    while len(found) < 2:
        try:
            answer = await client.post("/messages", message, {"Idempotency-Key": f"n{number}"})
        except (aiohttp.ClientError, OSError):
            await asyncio.sleep(0.02)
            continue
        if answer.status == 202:
            found.append(answer.json["queue_id"])
    assert found[0] == found[1]
    return found[0]


def send(port: int, number: int) -> None:
    """Send over SMTP until it is taken, each time with a Message-ID of its own."""
    for attempt in range(10_000):
        mail = (
            f"From: a@acme.test\r\nMessage-ID: <{number}.{attempt}@acme.test>\r\n"
            f"X-Relay-Idempotency-Key: s{number}\r\nSubject: x\r\n\r\nHello\r\n"
        )
        try:
            with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
                client.sendmail("a@acme.test", [f"s{number}@rcpt.test"], mail.encode())
        except (OSError, smtplib.SMTPException):
            continue
        return


async def stored(client: ApiClient) -> list[str]:
    """Return the recipients of all stored messages."""
    found: list[str] = []
    before: str | None = ""
    while before is not None:
        page = (await client.get(f"/messages?limit=100&before={before}")).json
        found += [one["recipient"] for message in page["messages"] for one in message["recipients"]]
        before = page["next"]
    return found


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_each_key_has_one_message(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue("postgres") if kind == "postgres" else ""
    dice, port = random.Random(11), free_port()
    client = ApiClient(port, "shop:secret")
    async with Sink() as sink, RelayProcess(tmp_path, sink.port, configuration(port, url)) as relay:
        half = MESSAGES // 2
        posting = asyncio.gather(*(post(client, number) for number in range(half)))
        sending = asyncio.gather(*(asyncio.to_thread(send, relay.port, number) for number in range(half)))
        for _ in range(KILLS):
            await asyncio.sleep(dice.uniform(0.05, 0.3))
            await relay.kill()
            await relay.start()
        await posting
        await sending
        expected = [f"{letter}{number}@rcpt.test" for letter in "hs" for number in range(half)]
        assert sorted(await stored(client)) == sorted(expected)
