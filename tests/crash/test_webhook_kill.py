"""kill -9 between a post and the write of the cursor: every event arrives at least once, with the same id."""

import asyncio
import random
import smtplib
from functools import partial
from pathlib import Path

from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink
from tests.servers.waiting import until
from tests.servers.webhook_harness import SECRET
from tests.servers.webhook_receiver import Receiver, Reply

MESSAGES = 60

KILLS = 4


def configuration(url: str) -> str:
    return f"""
[[webhook]]
name = "crm"
url = "{url}"
secret = ["{SECRET}"]
allow_networks = ["127.0.0.1/32"]
retry = ["200ms"]
"""


def send(port: int, number: int) -> None:
    """Send until it is taken."""
    mail = f"From: a@acme.test\r\nX-Relay-Meta-Number: {number}\r\nSubject: x\r\n\r\nHello\r\n".encode()
    while True:
        try:
            with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
                client.sendmail("a@acme.test", [f"u{number}@rcpt.test"], mail)
        except (OSError, smtplib.SMTPException):
            continue
        return


async def test_every_event_is_posted_at_least_once_with_the_same_id(tmp_path: Path) -> None:
    dice = random.Random(7)
    async with Receiver() as receiver, Sink() as sink:
        receiver.rule = lambda _: Reply(status=200 if dice.random() > 0.2 else 503, wait=0.005)
        async with RelayProcess(tmp_path, sink.port, configuration(receiver.url)) as relay:
            sending = asyncio.gather(*(asyncio.to_thread(send, relay.port, number) for number in range(MESSAGES)))
            for _ in range(KILLS):
                before = len(receiver.posts)
                await until(partial(lambda posts: len(receiver.posts) > posts + 5, before))
                await relay.kill()
                await relay.start()
            await sending
            receiver.rule = lambda _: Reply()

            def delivered() -> set[str]:
                bodies = [post.json for post in receiver.posts]
                return {body["data"]["metadata"]["number"] for body in bodies if body["type"] == "message.delivered"}

            await until(lambda: len(delivered()) == MESSAGES)

            rows = await relay.json("events", "tail", "--since", "1h")
            stored = {row["data"]["id"]: row["type"] for row in rows}
            await until(lambda: set(stored) <= {post.id for post in receiver.posts})
            posted = {post.id: post.json["type"] for post in receiver.posts}
            assert posted == stored
            assert await relay.json("webhook", "log", "crm", "--failed") == []
