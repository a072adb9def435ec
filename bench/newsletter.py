"""A newsletter with recipient variables over Mailgun's API, beside the same mail by SMTP: `python -m bench.newsletter`.

Both go through one running relay, in turns. Each mail that arrives is checked: its text, its links and where they lead,
its unsubscribe fields. By SMTP the application composes 1,000 mails, which is not counted.
"""

import asyncio
import http.client
import threading
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import click

from bench import cpu
from bench.newsletter_mail import Reader, faults, form, mail
from bench.sink import Session
from bench.source import say
from bench.targets import DOMAIN, Relay, free_port, signing_key
from bench.workloads import FROM
from relay.config.credentials import new_key
from relay.config.secret_hash import hash_secret

KEY = new_key("bench", bytes(range(32)))

DRAIN = 300.0
"""Seconds the last delivery may take."""

SESSIONS = 20
"""Connections by SMTP."""


class RelayWithApi(Relay):
    """relay with the HTTP API."""

    def __init__(self, sink_port: int, key: bytes) -> None:
        super().__init__(sink_port, key)
        self.api = free_port()
        self.more = f"""
[api]
address = "127.0.0.1:{self.api}"
[credentials.bench]
secret_hash = "{hash_secret(KEY, bytes(16))}"
scopes = ["send"]
"""

    def failures(self) -> str:
        """Return the lines of its log about unexpected errors."""
        lines = (self.folder / "data" / "relay.log").read_text().splitlines()
        return "\n".join(line for line in lines if '"level":"error"' in line)


class Kept:
    """The receiving server, in a thread of this process: what arrived, by recipient."""

    def __init__(self) -> None:
        self.port = free_port()
        self.contents: dict[str, bytes] = {}
        self.last = 0.0
        self.counts = self
        loop = asyncio.new_event_loop()
        threading.Thread(target=loop.run_forever, daemon=True).start()
        asyncio.run_coroutine_threadsafe(self._listen(), loop).result(10)

    def take(self, content: bytes) -> None:
        """Keep a mail."""
        header = content.partition(b"\r\n\r\n")[0].decode("utf-8", "replace")
        to = next(line[4:] for line in header.split("\r\n") if line.startswith("To: "))
        self.contents[to] = content
        self.last = time.monotonic()

    async def _listen(self) -> None:
        session: Any = Session
        await asyncio.get_running_loop().create_server(lambda: session(self), "127.0.0.1", self.port, backlog=1024)


@dataclass(frozen=True)
class Figures:
    """Messages a second, and CPU milliseconds a message."""

    accepted_rate: float
    delivered_rate: float
    cpu_ms: float


async def by_api(relay: RelayWithApi, readers: Sequence[Reader]) -> None:
    """Send one request to all readers."""
    body = aiohttp.FormData(quote_fields=False, default_to_multipart=True)
    for name, value in form(readers):
        body.add_field(name, value)
    login = {"Authorization": f"Basic {b64encode(f'api:{KEY}'.encode()).decode()}"}
    url = f"http://127.0.0.1:{relay.api}/v3/{DOMAIN}/messages"
    async with aiohttp.ClientSession() as client, client.post(url, data=body, headers=login) as answer:
        if answer.status != 200:
            raise SystemExit(f"the API answers {answer.status}: {await answer.text()}\n{relay.failures()}")


async def by_smtp(relay: RelayWithApi, readers: Sequence[Reader]) -> None:
    """Send a mail to each reader, over SESSIONS connections."""
    waiting = [(one, mail(one)) for one in readers]

    async def send() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.port, limit=1 << 20)
        await reader.readline()
        await say(reader, writer, b"EHLO source.bench\r\n")
        while waiting:
            to, content = waiting.pop()
            await say(reader, writer, b"MAIL FROM:<%s> BODY=8BITMIME\r\n" % FROM.encode())
            await say(reader, writer, b"RCPT TO:<%s>\r\n" % to.address.encode())
            await say(reader, writer, b"DATA\r\n")
            writer.write(content.replace(b"\r\n.", b"\r\n.."))
            await say(reader, writer, b".\r\n")
        await say(reader, writer, b"QUIT\r\n")
        writer.close()

    await asyncio.gather(*(send() for _ in range(SESSIONS)))


Way = Callable[[RelayWithApi, Sequence[Reader]], Awaitable[None]]


def measure(relay: RelayWithApi, kept: Kept, readers: Sequence[Reader], way: Way) -> Figures:
    """Send to all readers one way, and check each mail that arrives."""
    kept.contents.clear()
    spent, begun = cpu.seconds(relay.roots()), time.monotonic()
    asyncio.run(_awaited(way(relay, readers)))
    accepted = time.monotonic() - begun
    while len(kept.contents) < len(readers) and time.monotonic() < begun + DRAIN:
        time.sleep(0.05)
    time.sleep(0.3)
    spent, delivered = cpu.seconds(relay.roots()) - spent, kept.last - begun
    check(relay, kept, readers)
    count = len(readers)
    return Figures(count / accepted, count / delivered, 1000 * spent / count)


async def _awaited(one: Awaitable[None]) -> None:
    await one


def check(relay: RelayWithApi, kept: Kept, readers: Sequence[Reader]) -> None:
    """Exit unless each reader got its own mail."""
    tracker = http.client.HTTPConnection("127.0.0.1", relay.tracker)

    def target_of(link: str) -> str:
        tracker.request("GET", urlsplit(link).path)
        answer = tracker.getresponse()
        answer.read()
        return answer.headers.get("Location", "")

    found = [fault for one in readers for fault in faults(kept.contents.get(one.address, b""), one, target_of)]
    tracker.close()
    if found or len(kept.contents) != len(readers):
        raise SystemExit("\n".join([f"{len(kept.contents)} of {len(readers)} mails arrived", *found[:20]]))


@click.command()
@click.option("--readers", default=1000, show_default=True)
@click.option("--rounds", default=3, show_default=True)
def main(readers: int, rounds: int) -> None:
    """Compare both ways."""
    people = [Reader(number) for number in range(readers)]
    ways: dict[str, Way] = {"Mailgun's API": by_api, "SMTP": by_smtp}
    found: dict[str, list[Figures]] = {name: [] for name in ways}
    kept = Kept()
    relay = RelayWithApi(kept.port, signing_key())
    try:
        relay.start()
        for way in ways.values():
            measure(relay, kept, people[: max(1, readers // 10)], way)
        for number in range(rounds):
            for name in list(ways) if number % 2 == 0 else reversed(ways):
                found[name].append(measure(relay, kept, people, ways[name]))
    finally:
        relay.stop()
    click.echo(f"{readers} readers, {len(mail(people[0])) / 1000:.1f} KB each, medians of {rounds}; each mail is right")
    click.echo(f"{'':16}{'accepted/s':>12}{'delivered/s':>13}{'CPU ms':>9}")
    for name, rows in found.items():
        medians = (median(getattr(one, key) for one in rows) for key in ("accepted_rate", "delivered_rate", "cpu_ms"))
        click.echo("{:16}{:12.0f}{:13.0f}{:9.2f}".format(name, *medians))


if __name__ == "__main__":
    main()
