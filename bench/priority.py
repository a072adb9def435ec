"""What transactional mail waits behind a campaign: `python -m bench.priority`.

200,000 campaign entries are due, of the same application and for the same provider. Transactional mail comes at a fixed
rate. Prints the time from MAIL to the arrival, with the campaign and with an empty queue, for each store.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import click

from bench.instruments import Load, UvloopInstrument, quantile
from bench.targets import DOMAIN, Relay, signing_key
from bench.workloads import FROM, TRACKER, message, workload
from relay.config.settings import Settings
from relay.limits.principal import flow_key, principal_of
from relay.limits.priority import Priority
from relay.mail.queue_id import queue_id
from relay.queue.entry import Entry
from relay.queue.message import Message, NewMessage
from relay.render.message_policy import MessagePolicy
from relay.rewrite.options import Tracking
from relay.storage.postgres.store import PostgresStore
from relay.storage.sqlite.store import SqliteStore
from relay.storage.store import Store
from tests.servers.postgres import PostgresServer, drop_schema, fresh_schema

PER_MESSAGE = 1000

PROVIDER = "sink"

PATIENCE = 120.0
"""Seconds that the last transactional mail may take."""


@dataclass(frozen=True)
class Waits:
    """Seconds that transactional mail took, and the campaign mail that left meanwhile."""

    store: str
    campaign: int
    p50: float
    p95: float
    longest: float
    left: float
    """Campaign messages a second."""
    complete: bool


class Behind(Relay):
    """A relay on a store that is prepared."""

    def __init__(self, sink_port: int, key: bytes, url: str) -> None:
        super().__init__(sink_port, key)
        self.url = url
        self.more = f'[storage]\nurl = "{url}"\n' if url else ""

    async def open(self) -> Store:
        """Open its store, before it starts."""
        data = self.folder / "data"
        data.mkdir(mode=0o700)
        if self.url:
            return await PostgresStore.open(self.url, data, now=time.time())
        return await SqliteStore.open(data / "relay.db", now=time.time())


async def fill(relay: Behind, entries: int) -> None:
    """Store a campaign whose entries are due."""
    store, now, content = await relay.open(), time.time(), message(workload("W2"), "0" * 32)
    content = content.replace(b"X-Bench:", b"X-Campaign-Id:")  # The sink counts it apart.
    try:
        for number in range(-(-entries // PER_MESSAGE)):
            await store.queue.enqueue(_campaign(number, min(PER_MESSAGE, entries - number * PER_MESSAGE), now, content))
    finally:
        await store.close()


def _campaign(number: int, recipients: int, now: float, content: bytes) -> NewMessage:
    identity, at = queue_id(now - 60, number), now - 60
    principal = flow_key(principal_of(Settings(), FROM, "", "127.0.0.1"), FROM)
    policy = MessagePolicy(DOMAIN, provider=PROVIDER, tracking=Tracking(base_url=TRACKER), is_signed=True)
    entries = tuple(
        Entry(
            *(identity, place, f"reader{number}.{place}@rcpt.bench", f"provider:{PROVIDER}", at, at + 72 * 3600, at),
            principal=principal,
            priority=Priority.CAMPAIGN,
        )
        for place in range(recipients)
    )
    return NewMessage(Message(identity, at, FROM, policy, campaign="bench", size=len(content)), content, entries)


def measure(relay: Behind, sink: UvloopInstrument, campaign: int, load: Load) -> Waits:
    """Send transactional mail through a relay that runs."""
    sink.counts(b"reset")
    begun = time.monotonic()
    plan = json.dumps({"port": relay.port, **asdict(load)})
    subprocess.run([sys.executable, "-m", "bench.source", plan], check=True, stdout=subprocess.PIPE)
    give_up = time.monotonic() + PATIENCE
    while (counts := sink.counts())["unique"] < load.messages and time.monotonic() < give_up:
        time.sleep(0.1)
    delays, left = counts["delays"], counts["foreign"] / (time.monotonic() - begun)
    return Waits(
        "postgresql" if relay.url else "sqlite",
        campaign,
        quantile(delays, 0.5),
        quantile(delays, 0.95),
        delays[-1] if delays else 0.0,
        left,
        len(delays) == load.messages,
    )


@contextmanager
def database(kind: str) -> Iterator[str]:
    """Yield the URL of an empty store, "" for SQLite."""
    if kind == "sqlite":
        yield ""
        return
    server = PostgresServer(fsync="on", shared_buffers="256MB", max_wal_size="4GB")
    url = fresh_schema(server.url)
    try:
        yield url
    finally:
        drop_schema(url)
        server.close()


@click.command()
@click.option("--campaign", default=200_000, show_default=True, help="Campaign entries that are due.")
@click.option("--messages", default=600, show_default=True, help="Transactional messages.")
@click.option("--rate", default=20.0, show_default=True, help="Transactional messages a second.")
@click.option("--store", "stores", multiple=True, type=click.Choice(["sqlite", "postgresql"]))
def main(campaign: int, messages: int, rate: float, stores: tuple[str, ...]) -> None:
    """Measure transactional mail behind a campaign that is due, and on an empty queue."""
    sink, key, load = UvloopInstrument(), signing_key(), Load("W1", 4, messages, rate=rate)
    click.echo(f"{'store':12}{'campaign':>10}{'p50 s':>8}{'p95 s':>8}{'longest':>9}{'campaign/s':>12}")
    try:
        for kind in stores or ("sqlite", "postgresql"):
            for entries in (0, campaign):
                with database(kind) as url:
                    relay = Behind(sink.port, key, url)
                    try:
                        asyncio.run(fill(relay, entries))
                        relay.start()
                        one = measure(relay, sink, entries, load)
                    finally:
                        relay.stop()
                missing = "" if one.complete else "  INCOMPLETE"
                click.echo(
                    f"{one.store:12}{one.campaign:10,}{one.p50:8.3f}{one.p95:8.3f}{one.longest:9.3f}{one.left:12.0f}{missing}"
                )
    finally:
        sink.close()


if __name__ == "__main__":
    main()
