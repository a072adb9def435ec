"""A tracked message, its submission, the timeline of a message, and what waits."""

import smtplib
from typing import Any

from tests.servers.relay_process import RelayProcess
from tests.servers.waiting import until

HTML = (
    b"From: Acme <news@acme.test>\r\nTo: u@rcpt.test\r\nSubject: hello\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
    b'<html><body><p><a href="https://shop.acme.test/?a=1&amp;b=2">shop</a></p></body></html>\r\n'
)


def send(port: int, content: bytes, recipients: list[str], sender: str = "news@acme.test") -> str:
    """Send by smtplib; return the queue id."""
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        client.ehlo()
        client.mail(sender)
        for recipient in recipients:
            client.rcpt(recipient)
        code, text = client.data(content)
        assert code == 250, text
        return text.decode().rsplit(" ", 1)[1]


async def story(relay: RelayProcess, key: str, *kinds: str) -> dict[str, Any]:
    """Return what `relay trace` says of a message, once it has an event of one of these kinds."""

    async def found() -> dict[str, Any]:
        (one,) = await relay.json("trace", key)
        return one if any(event["event"] in kinds for event in one["events"]) else {}

    return await until(found)


async def timeline(relay: RelayProcess, key: str, last: str) -> list[str]:
    """Return the kinds of events of a message, once `last` is among them."""
    return [event["event"] for event in (await story(relay, key, last))["events"]]


async def listed(relay: RelayProcess, count: int) -> list[dict[str, Any]]:
    """Return the entries of the queue, once there are so many: a sink has a message before the relay settles it."""
    found: list[dict[str, Any]] = []

    async def entries() -> bool:
        found[:] = await relay.json("queue", "list")
        return len(found) == count

    await until(entries)
    return found
