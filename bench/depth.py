"""What a deep queue costs: `python -m bench.depth`. Throughput to a live destination beside 1,000,000 recipients that
are deferred for a dead one, the time to start, and the memory, each against an empty queue in the same run.
"""

import asyncio
import shutil
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import click

from bench import cpu
from bench.instruments import Load, UvloopInstrument
from bench.mail import Figures, measure
from bench.targets import Relay, signing_key
from relay.mail.queue_id import queue_id
from relay.queue.entry import Entry
from relay.queue.message import Message, NewMessage
from relay.storage.sqlite.store import SqliteStore

PER_MESSAGE = 1000

LATER = 3 * 3600.0
"""Seconds until the deferred recipients are due."""


class Deep(Relay):
    """A relay on a queue that is prepared."""

    name = "relay"
    prepared: Path

    def _launch(self) -> None:
        data = self.folder / "data"
        data.mkdir()
        for file in self.prepared.iterdir():
            shutil.copy(file, data / file.name)
        self.begun = time.monotonic()
        super()._launch()


def fill(folder: Path, recipients: int, lanes: int) -> None:
    """Make a store with so many deferred recipients, spread over so many destinations."""
    asyncio.run(_fill(folder, recipients, lanes))


async def _fill(folder: Path, recipients: int, lanes: int) -> None:
    now = time.time()
    store = await SqliteStore.open(folder / "relay.db", now=now)
    try:
        if recipients:
            serials = range(recipients // PER_MESSAGE)
            for start in range(0, len(serials), 16):
                waves = (store.queue.enqueue(_deferred(number, now, lanes)) for number in serials[start : start + 16])
                await asyncio.gather(*waves)
    finally:
        await store.close()


def _deferred(number: int, now: float, lanes: int) -> NewMessage:
    identity = queue_id(now - 3600, number)
    entries = tuple(_entry(identity, place, now, number * PER_MESSAGE + place, lanes) for place in range(PER_MESSAGE))
    return NewMessage(Message(identity, now - 3600, "news@dead.bench"), b"Subject: deferred\r\n\r\nHello\r\n", entries)


def _entry(identity: str, place: int, now: float, serial: int, lanes: int) -> Entry:
    domain = f"dead{serial % lanes}.bench"
    entry = Entry(
        identity, place, f"reader{serial}@{domain}", f"direct:{domain}", now - 3600, now + 71 * 3600, now + LATER
    )
    return replace(entry, attempts=3)


@click.command()
@click.option("--recipients", default=1_000_000, show_default=True)
@click.option("--lanes", default=1, show_default=True, help="Dead destinations they are spread over.")
@click.option("--messages", default=2000, show_default=True)
@click.option("--rounds", default=3, show_default=True)
def main(recipients: int, lanes: int, messages: int, rounds: int) -> None:
    """Compare a deep queue with an empty one."""
    sink, key, load = UvloopInstrument(), signing_key(), Load("W2", 20, messages)
    folders = {count: _prepared(count, lanes) for count in (0, recipients)}
    found: dict[int, list[tuple[Figures, float, float]]] = {count: [] for count in folders}
    try:
        for number in range(rounds):
            for count in folders if number % 2 == 0 else reversed(folders):
                Deep.prepared = folders[count]
                relay = Deep(sink.port, key)
                try:
                    relay.start()
                    started = time.monotonic() - relay.begun
                    measure(relay, sink, Load("W2", 20, messages // 10))
                    figures = measure(relay, sink, load)
                    found[count].append((figures, started, cpu.resident(relay.roots()) / 1e6))
                finally:
                    relay.stop()
    finally:
        sink.close()
        for folder in folders.values():
            shutil.rmtree(folder)
    click.echo(f"{'deferred':>12}{'delivered/s':>13}{'CPU ms':>9}{'start s':>9}{'memory MB':>11}")
    for count, rows in found.items():
        rate, spent = median(one.delivered_rate for one, _, _ in rows), median(one.cpu_ms for one, _, _ in rows)
        start, memory = median(start for _, start, _ in rows), median(memory for _, _, memory in rows)
        click.echo(f"{count:12,}{rate:13.0f}{spent:9.2f}{start:9.2f}{memory:11.0f}")


def _prepared(recipients: int, lanes: int) -> Path:
    folder = Path(Deep.base, f"bench-depth-{recipients}-{time.monotonic_ns()}")
    folder.mkdir()
    fill(folder, recipients, lanes)
    return folder


if __name__ == "__main__":
    main()
