"""What pages of the console cost: `python -m bench.console`. Each page of a relay with 1,000,000 messages of 30 days.

One of ten messages is an invoice with its number in subject and metadata, others are of campaigns. 3 of 100 bounced,
some thousands wait. The figures are milliseconds: from the request to the whole answer, and the CPU of the relay, which
a busy machine makes no longer. NARROWED are the pages of a person who is restricted to the sending domain of one of
seven messages.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import median
from urllib.request import Request, urlopen

import click

from bench.priority import database
from relay.events.event import Event, Kind
from relay.mail.queue_id import queue_id
from relay.mail.reply import Reply
from relay.queue.entry import Entry, State
from relay.queue.message import Message
from relay.render.message_policy import MessagePolicy
from relay.reports.tallies import FINE, TallyKey, span_of
from relay.storage.database import Connection
from relay.storage.postgres.store import PostgresStore
from relay.storage.rows import (
    INSERT_ENTRY,
    INSERT_EVENT,
    INSERT_LABEL,
    INSERT_MESSAGE,
    entry_row,
    event_rows,
    label_rows,
    message_row,
)
from relay.storage.sqlite.store import SqliteStore
from relay.storage.store import Store
from tests.ports import free_port
from tests.servers.login_console import Person, people_toml
from tests.servers.waiting import PATIENCE

SPAN = 30 * 86400.0

BATCH = 5_000

ROUNDS = 15

TICKS = os.sysconf("SC_CLK_TCK")

SITES = ("gmail.test", "yahoo.test", "outlook.test", "corp.test", "web.test", "icloud.test")

CATEGORIES = ("bad_mailbox", "mailbox_full", "blocked", "policy", "expired")

WORDS = ("parcel", "password", "welcome", "receipt", "statement", "reminder", "order", "ticket")

PAGES = (
    *("/", "/messages", "/messages?status=bounced", "/messages?status=dropped", "/messages?status=waiting"),
    *("/messages?q=invoice", "/messages?q=invoice+{word}", "/messages?q={word}", "/messages?q=autumn+parcel"),
    *("/messages?q=invoice%3D{number}", "/messages?to=corp.test&status=bounced", "/messages?q=ada{number}%40rare.test"),
    *("/messages?q=news%40acme.test", "/messages?q=rare.test", "/messages?q=nosuchword", "/messages?category=blocked"),
    *(
        "/messages?provider=sink&status=dropped&from=harbour.test",
        "/messages?q=autumn&status=dropped&from=harbour.test",
    ),
    *(
        "/messages?category=blocked&provider=sink&from=harbour.test",
        "/messages?q=autumn&status=waiting&from=harbour.test",
    ),
    *("/messages?provider=sink&status=bounced&from=harbour.test", "/messages?campaign=autumn&before={old}"),
    *("/messages/{bounced}", "/queue", "/queue?site=sink", "/queue?q=waits%40corp.test", "/bounces"),
    *("/bounces?span=day", "/bounces?domain=acme.test&type=campaign", "/domains", "/identities", "/providers"),
    *("/suppressions", "/unsubscribes", "/webhooks"),
)


NARROWED = (
    *("/", "/messages", "/messages?status=bounced", "/messages?status=dropped", "/messages?status=waiting"),
    *(
        "/messages?q=autumn",
        "/messages?category=blocked",
        "/messages?q=nosuchword",
        "/messages?to=corp.test&status=bounced",
    ),
    *("/queue", "/bounces", "/bounces?identity=news%40harbour.test", "/domains", "/identities", "/providers"),
    *("/suppressions", "/unsubscribes", "/audit"),
)
"""Pages of a person of one sending domain."""

JANE = "jane@harbour.test"


@dataclass(frozen=True)
class Served:
    """A relay that serves the store: its consoles, and its process."""

    address: str
    login: str
    process: int


@dataclass(frozen=True)
class Filled:
    """Names of some messages, for the addresses of the pages."""

    number: int
    word: str
    old: str
    bounced: str


def subject_of(number: int) -> tuple[str, str]:
    """Return subject and campaign."""
    if number % 10 == 0:
        return f"Invoice 2026-{number}", ""
    if number % 10 < 7:
        return f"Autumn news, week {number // 50_000}", "autumn"
    return f"Your {WORDS[number % len(WORDS)]} {number}", ""


def state_of(number: int, total: int) -> State:
    if number % 33 == 0:
        return State.BOUNCED
    if number % 200 == 1:
        return State.DROPPED
    return State.WAITING if number > total - 5_000 else State.DELIVERED


async def fill(store: Store, total: int, now: float) -> Filled:
    """Store so many messages, their tallies and the index."""
    tallies: Counter[TallyKey] = Counter()
    for first in range(0, total, BATCH):
        made = [_made(number, total, now) for number in range(first, min(first + BATCH, total))]
        for message, entry, _ in made:
            kind = f"bounced:{CATEGORIES[message.size % 5]}" if entry.state is State.BOUNCED else entry.state.value
            end = "/campaign" if message.campaign else ""
            for name in ("created", kind):
                tallies[TallyKey(span_of(message.created_at), message.policy.domain, name + end)] += 1
        await store.database.write(_insert(made))
    await store.tallies.add(tallies)
    await store.tallies.fold(now - FINE)
    begun, blocks = time.monotonic(), 0
    while await store.searches.extend(now - 60):
        blocks += 1
    print(f"  {blocks} blocks indexed in {time.monotonic() - begun:.0f} s")
    middle = total // 2 // 10 * 10
    return Filled(
        number=middle,
        word=str(middle),
        old=queue_id(now - SPAN / 2, 0),
        bounced=_made(total // 33 * 33 - 33, total, now)[0].queue_id,
    )


def _made(number: int, total: int, now: float) -> tuple[Message, Entry, list[Event]]:
    at = now - 120 - SPAN * (1 - number / total)
    name = queue_id(at, number)
    subject, campaign = subject_of(number)
    domain = "harbour.test" if number % 7 == 0 else "acme.test"
    site = "rare.test" if number % 10_000 == 0 else SITES[number % len(SITES)]
    state = state_of(number, total)
    failed = state is State.BOUNCED
    reply = Reply(550, "5.1.1", "No such user") if failed else Reply(250, "2.0.0", "Ok")
    message = Message(
        *(name, at, f"news@{domain}", MessagePolicy(domain, f"news@{domain}", provider="sink")),
        size=number,
        message_id=f"<{number}@{domain}>",
        header_from=f"news@{domain}",
        subject=subject,
        campaign=campaign,
        metadata={"invoice": str(number)} if number % 10 == 0 else {},
    )
    to = "waits@corp.test" if number == total - 7 else f"ada{number}@{site}"
    entry = Entry(
        *(name, 0, to, "provider:sink", at, at + 72 * 3600, now + 3600, 0.0, state, 1),
        last_reply=reply,
        last_remote=f"mx.{site}[192.0.2.1]:25",
    )
    about: dict[str, object] = {"domain": domain, "identity": f"news@{domain}", "lane": "provider:sink"}
    events = [Event(Kind.CREATED, at, name, 0, to, about)]
    if failed:
        why = {"category": CATEGORIES[number % 5], "reply": str(reply), "rule": "bench"}
        events.append(Event(Kind.BOUNCED, at + 1, name, 0, to, about | why))
    elif state is State.DELIVERED:
        events.append(Event(Kind.DELIVERED, at + 1, name, 0, to, about | {"reply": str(reply), "delay": 1.0}))
        if number % 3 == 0:
            events.append(Event(Kind.OPEN, at + 600, name, 0, to, {"user_agent": "Thunderbird"}))
    return message, entry, events


def _insert(made: list[tuple[Message, Entry, list[Event]]]) -> Callable[[Connection], None]:
    def operation(raw: Connection) -> None:
        raw.executemany(INSERT_MESSAGE, [message_row(message) for message, _, _ in made])
        raw.executemany(INSERT_ENTRY, [entry_row(entry) for _, entry, _ in made])
        raw.executemany(INSERT_EVENT, [row for _, _, events in made for row in event_rows(events)])
        raw.executemany(
            INSERT_LABEL, [row for one, _, _ in made for row in label_rows(one.queue_id, one.tags, one.metadata)]
        )

    return operation


@contextmanager
def served(folder: Path, url: str) -> Iterator[Served]:
    """Serve the store."""
    port, login, config = free_port(), free_port(), folder / "relay.toml"
    storage = f'[storage]\nurl = "{url}"\n' if url else ""
    config.write_text(
        f'[server]\nhostname = "relay.test"\ndata_dir = "{folder / "data"}"\n'
        f'[[listener]]\nname = "submission"\naddress = "127.0.0.1:{free_port()}"\n'
        f'[tracker]\naddress = "127.0.0.1:{free_port()}"\n'
        f'[admin]\naddress = "127.0.0.1:{port}"\n[console]\naddress = "127.0.0.1:{login}"\n{storage}'
        '[[provider]]\nname = "sink"\nhost = "127.0.0.1"\nport = 9\ntls = "none"\n[defaults]\nprovider = "sink"\n'
        '[domains."acme.test"]\n[domains."harbour.test"]\n[identities."news@acme.test"]\n'
        '[identities."news@harbour.test"]\n' + people_toml({JANE: "owner"}, {JANE: "harbour.test"}),
        encoding="utf-8",
    )
    process = subprocess.Popen([sys.executable, "-m", "relay.cli", "serve", "-c", str(config)])
    try:
        for _ in count():
            try:
                urlopen(f"http://127.0.0.1:{port}/static/icon.svg").close()
                break
            except OSError:
                assert process.poll() is None, "the relay ended"
                time.sleep(0.1)
        yield Served(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{login}", process.pid)
    finally:
        process.terminate()
        process.wait(PATIENCE)


def measure(one: Served, filled: Filled) -> None:
    """Print the milliseconds of each page: the first request, the median of the others, the longest of them, CPU."""
    print(f"  {'page':<62} {'first':>7} {'median':>7} {'most':>7} {'CPU':>7}")
    for page in PAGES:
        _measure_page(one.process, page.format(**vars(filled)), one.address, {})
    print(f"  as {JANE}")
    cookie = {"Cookie": f"__Host-relay={asyncio.run(_logged_in(one.login))}", "Sec-Fetch-Site": "same-origin"}
    for page in NARROWED:
        _measure_page(one.process, page, one.login, cookie)


async def _logged_in(url: str) -> str:
    """Return the token of a session of the person."""
    async with Person(url) as jane:
        await jane.first_login(JANE)
        return jane.token


def _measure_page(process: int, path: str, address: str, headers: Mapping[str, str]) -> None:
    first, before = _time(address + path, headers), _cpu(process)
    times = [_time(address + path, headers) for _ in range(ROUNDS)]
    used = 1000 * (_cpu(process) - before) / ROUNDS
    print(f"  {path:<62} {first:7.1f} {median(times):7.1f} {max(times):7.1f} {used:7.1f}", flush=True)


def _cpu(process: int) -> float:
    """Return the CPU seconds of a process and its threads, without its children."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / TICKS


def _time(url: str, headers: Mapping[str, str]) -> float:
    begun = time.perf_counter()
    with urlopen(Request(url, headers=dict(headers))) as answer:
        answer.read()
    return 1000 * (time.perf_counter() - begun)


@click.command()
@click.option("--messages", default=1_000_000, show_default=True)
@click.option("--store", "stores", multiple=True, type=click.Choice(["sqlite", "postgresql"]))
def main(messages: int, stores: tuple[str, ...]) -> None:
    """Measure each page."""
    for kind in stores or ("sqlite", "postgresql"):
        with database(kind) as url, tempfile.TemporaryDirectory(prefix="bench-console-") as name:
            folder = Path(name)
            (folder / "data").mkdir(mode=0o700)
            print(kind, flush=True)
            filled = asyncio.run(_prepare(folder / "data", url, messages))
            with served(folder, url) as one:
                measure(one, filled)


async def _prepare(data: Path, url: str, messages: int) -> Filled:
    now = time.time()
    store: Store = (
        await PostgresStore.open(url, data, now=now) if url else await SqliteStore.open(data / "relay.db", now=now)
    )
    try:
        return await fill(store, messages, now)
    finally:
        await store.close()


if __name__ == "__main__":
    main()
