"""`relay storage migrate`: all is copied, also by a second run after a kill; what was queued is delivered once."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from relay.delivery.delivery_journal import JOURNAL_FILE, DeliveryJournalFile
from relay.events.event import Event, Kind
from relay.limits.ports import Slot
from relay.limits.window import HOUR, Window
from relay.mail.queue_id import queue_id
from relay.mail.reply import Reply
from relay.queue.entry import State
from relay.queue.message import NewMessage
from relay.queue.outcome import Delivered
from relay.queue.ports import JournalRecord
from relay.storage.postgres import schema
from relay.storage.postgres.connection import Target
from relay.storage.postgres.store import PostgresStore
from relay.storage.sqlite.export import SqliteExport
from relay.storage.sqlite.store import SqliteStore
from relay.suppression.model import Suppression
from tests.contract.values import ROOMY, accepted, full_entry, full_message, settle
from tests.servers import forked
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink

MESSAGES = 150

LIMIT = {"identity:limited@acme.test": (Window(3, HOUR),)}

NUMBERED = {"events": ("id",), "webhooks": ("position",), "webhook_failures": ("position",)}
"""Columns with ids of events, which differ between the databases."""

ONLY_THERE = {"clock_steps", "ledgers", "nodes", "relay_schema", "relay_transfer"}


async def migrate(config: Path, url: str, *more: str) -> subprocess.CompletedProcess[str]:
    return await forked.run("storage", "migrate", "--to", url, "-c", str(config), *more)


async def fill(path: Path, now: float) -> None:
    """A store with something in every table: finished, waiting, held and claimed mail, places, lists."""
    store = await SqliteStore.open(path, now=now)
    ids = [queue_id(now - 60, number) for number in range(MESSAGES)]
    for number, one in enumerate(ids):
        made = accepted(one, f"u{number}@rcpt.test", due=now - 60, at=now - 60, content=content(number))
        entries = tuple(replace(entry, lane="provider:sink") for entry in made.entries)
        await store.queue.enqueue(replace(made, entries=entries))
        await store.limits.reserve([Slot(one, 0, LIMIT)], [now])
    await store.queue.claim(now, replace(ROOMY, entries=10))
    claimed = await store.queue.claim(now, replace(ROOMY, entries=10))
    await store.queue.apply([settle(one, State.DELIVERED, now) for one in claimed])
    full = replace(full_message(), created_at=now - 9e6)
    entry = replace(full_entry(), next_attempt_at=now + 9000, created_at=now, expires_at=now + 90_000)
    await store.queue.enqueue(
        NewMessage(full, b"\0\xff" * 20_000, (entry,), (Event(Kind.CREATED, now - 9e6, full.queue_id, 3),))
    )
    await store.suppressions.add([Suppression("gone@x.test", "", "manual", "", "", "", now, 0.0)])
    await store.events.record([Event(Kind.OPEN, now, ids[0], 0, data={"agent": "x"})])
    await store.close()
    with closing(sqlite3.connect(path)) as raw:  # Tables that only a longer life would fill.
        raw.execute("INSERT INTO soft_bounces VALUES ('a@x.test', 'acme.test', 'Q', ?, 1)", (now,))
        raw.execute(
            "INSERT INTO unproven_evidence VALUES ('a@x.test', 'acme.test', 'complaint', '', '', 'Q', ?, '', 'w', 1)",
            (now,),
        )
        raw.execute("INSERT INTO unsubscribes VALUES ('a@x.test', 'acme.test', 'spring', 'page', '', ?)", (now,))
        raw.execute("INSERT INTO verifications VALUES ('acme.test', 'dns', 'passed', ?, '', '')", (now,))
        raw.execute("INSERT INTO quotas VALUES ('ff', '[1.5]', ?)", (now,))
        raw.execute("INSERT INTO challenges VALUES ('a@acme.test', 'b@x.test', '00', 'ff', 'Q', 1, '[1.5]', ?)", (now,))
        raw.execute(
            "INSERT INTO domain_watch VALUES ('acme.test', 'w', ?, ?, ?, 'passing', ?, '{}', '[]', 1, '{}')", (now,) * 4
        )
        raw.execute("INSERT INTO tracking_hosts VALUES ('https://t.acme.test', ?)", (now,))
        raw.execute("INSERT INTO link_blocks VALUES ('key', 'host', 'evil.test', ?, '')", (now,))
        raw.execute("INSERT INTO credential_keys VALUES ('ff', 'app1', ?, 0)", (now,))
        raw.execute("INSERT INTO idempotency VALUES ('shop', 'ff', 'ee', 'Q', ?)", (now,))
        raw.execute("INSERT INTO oauth_tokens VALUES ('up', 'k1:x', 3, ?, '', 0)", (now,))
        raw.execute("INSERT INTO pauses VALUES ('mx:x.test', ?, ?, '554 no', 'blocked', '')", (now, now + 900))
        raw.execute("INSERT INTO sites VALUES ('mx.x.test', 20, ?, 5, 9, 1, ?, ?, 1, 0, '421 slow')", (now, now, now))
        raw.execute("INSERT INTO link_blocks VALUES ('k', 'host', 'evil.test', ?, 'phishing')", (now,))
        raw.execute("INSERT INTO webhooks VALUES ('crm', '0-160', '', '', ?, 0, '', 0, 'ab')", (now,))
        raw.execute(
            "INSERT INTO webhook_failures VALUES ('crm', '0-9', 'evt_a', 'message.open', 'Q', 'a@x', ?, 0, 1, 500, '')",
            (now,),
        )
        raw.execute(
            "INSERT INTO accounts VALUES ('jane@acme.test', 'ff', 'scrypt:', 'k1:x', 7, ?, '192.0.2.7')", (now,)
        )
        raw.execute("INSERT INTO sessions VALUES ('ee', 'jane@acme.test', 'dd', ?, ?, '192.0.2.7')", (now, now + 900))
        raw.execute("INSERT INTO login_attempts VALUES ('account jane@acme.test', 5, ?, ?)", (now, now + 1))
        raw.execute("INSERT INTO plans VALUES ('p', 'ee', 'queue.hold', '{}', '[\"Q/0\"]', ?)", (now,))
        raw.execute(
            "INSERT INTO changes VALUES ('c', ?, 'jane@acme.test', 'queue.hold', 'Q', '', 'held', '::1')", (now,)
        )
        raw.execute("INSERT INTO tallies VALUES (1800000000, 'delivered', 'acme.test', 7)")
        raw.execute("INSERT INTO tally_writers VALUES ('w', 3, ?)", (now,))
        raw.execute("INSERT INTO sent_copies VALUES ('Q', -1, ?, 'a@acme.test', x'00ff')", (now,))
        raw.execute("INSERT INTO search_blocks VALUES ('w:invoice', 'Q', 'Q')")
        raw.execute("INSERT INTO identity_outcomes VALUES ('a@acme.test', 500000, 9, 2, 1)")
        raw.commit()


def queue_id_of_row(path: Path, row: int) -> str:
    with closing(sqlite3.connect(path)) as raw:
        return str(raw.execute("SELECT queue_id FROM events WHERE id = ?", (row,)).fetchone()[0])


def content(number: int) -> bytes:
    return f"From: a@app.test\r\nSubject: {number}\r\n\r\nbody of {number}\r\n".encode()


def compare(path: Path, url: str) -> dict[str, int]:
    """Assert that all rows of all tables are there, and no others; return their numbers."""
    counts = {}
    with closing(SqliteExport.open(path)) as source, psycopg.connect(url) as raw:
        (began,) = raw.execute("SELECT began_at FROM relay_transfer").fetchone() or (0.0,)
        for table in source.tables():
            columns = [name for name in table.columns if name not in ("lease", *NUMBERED.get(table.name, ()))]
            places = [table.columns.index(name) for name in columns]
            theirs = [tuple(row[place] for place in places) for row in source.rows(table, None, began)]
            order = (
                "id"
                if table.name == "events"
                else ", ".join(
                    f'{name} COLLATE "C"' if name not in ("number", "hour", "at") else name for name in table.key
                )
            )
            ours = raw.execute(f"SELECT {', '.join(columns)} FROM {table.name} ORDER BY {order}").fetchall()
            assert ours == theirs, table.name
            counts[table.name] = len(ours)
    return counts


@pytest.fixture
async def relay(tmp_path: Path) -> RelayProcess:
    made = RelayProcess(tmp_path, 9)
    (tmp_path / "data").mkdir()
    await fill(tmp_path / "data" / "relay.db", time.time())
    return made


async def test_a_killed_copy_continues_without_duplicates(relay: RelayProcess, postgres: str) -> None:
    database = relay.folder / "data" / "relay.db"
    command = (sys.executable, "-m", "relay.cli", "storage", "migrate", "--to", postgres, "-c", str(relay.config))
    with subprocess.Popen(
        (*command, "--batch", "7"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None
        assert "rows" in first.stdout.readline()
        first.send_signal(signal.SIGKILL)
    assert first.returncode == -signal.SIGKILL
    with pytest.raises(Exception, match="was copied in part"):
        await PostgresStore.open(postgres, relay.folder, now=time.time())

    second = await migrate(relay.config, postgres)
    assert second.returncode == 0, second.stderr
    assert "continuing the last run" in second.stdout
    assert f'url = "{postgres}"' in second.stdout
    counts = compare(database, postgres)
    assert all(counts.values()), f"a table was empty and proves nothing: {counts}"
    again = await migrate(relay.config, postgres)
    assert (again.returncode, again.stdout.splitlines()[0]) == (0, "all rows were copied before")
    assert compare(database, postgres) == counts

    store = await PostgresStore.open(postgres, relay.folder, now=time.time())
    (webhook,) = await store.webhooks.states()
    assert len((await store.feed.read(webhook.position, 10)).events) == 2
    (failure,) = await store.webhooks.failures("crm", 10)
    (event,) = await store.feed.at([failure.position])
    assert event.event.queue_id == queue_id_of_row(relay.folder / "data" / "relay.db", 9)
    limits = await store.limits.usage(LIMIT, time.time())
    await store.close()
    usage = limits["identity:limited@acme.test"]
    assert usage.free_at > time.time() + (MESSAGES / 3 - 2) * HOUR, "limits hold on"


async def test_what_was_queued_is_delivered_once_from_postgresql(tmp_path: Path, postgres: str) -> None:
    async with Sink() as sink:
        relay = RelayProcess(tmp_path, sink.port)
        (tmp_path / "data").mkdir()
        await fill(tmp_path / "data" / "relay.db", time.time())
        done = await migrate(relay.config, postgres)
        assert done.returncode == 0, done.stderr
        relay.config.write_text(relay.config.read_text() + f'[storage]\nurl = "{postgres}"\n')
        async with relay:
            await sink.received(MESSAGES - 10)
            await asyncio.sleep(0.5)
            assert await relay.stop() == 0
        got = [mail.recipients[0] for mail in sink.messages]
        assert len(got) == len(set(got)) == MESSAGES - 10
        by_recipient = {mail.recipients[0]: mail.content for mail in sink.messages}
        assert all(
            f"body of {one.removeprefix('u').partition('@')[0]}\r\n".encode() in mail
            for one, mail in by_recipient.items()
        )


async def test_a_running_server_is_an_error(relay: RelayProcess, postgres: str) -> None:
    store = await SqliteStore.open(relay.folder / "data" / "relay.db", now=time.time())
    done = await migrate(relay.config, postgres)
    await store.close()
    assert (done.returncode, "stop that one first" in done.stderr) == (75, True)


async def test_a_target_in_use_is_refused(relay: RelayProcess, postgres: str, tmp_path: Path) -> None:
    node = tmp_path / "node"
    node.mkdir()
    store = await PostgresStore.open(postgres, node, now=time.time())
    done = await migrate(relay.config, postgres)
    assert (done.returncode, "works on this PostgreSQL database already" in done.stderr) == (69, True)
    await store.queue.enqueue(accepted("A"))
    await store.close()
    with psycopg.connect(postgres, autocommit=True) as raw:
        raw.execute("DELETE FROM nodes")
    done = await migrate(relay.config, postgres)
    assert (done.returncode, "is not empty" in done.stderr) == (69, True)


async def test_a_changed_source_is_not_mixed_with_an_older_copy(relay: RelayProcess, postgres: str) -> None:
    database = relay.folder / "data" / "relay.db"
    done = await migrate(relay.config, postgres)
    assert done.returncode == 0, done.stderr
    with psycopg.connect(postgres, autocommit=True) as raw:
        raw.execute("UPDATE relay_transfer SET done = false")
    store = await SqliteStore.open(database, now=time.time())
    await store.queue.enqueue(accepted("LATER"))
    await store.close()
    refused = await migrate(relay.config, postgres)
    assert (refused.returncode, "--anew" in refused.stderr) == (69, True)
    anew = await migrate(relay.config, postgres, "--anew")
    assert anew.returncode == 0, anew.stderr
    assert compare(database, postgres)["messages"] == MESSAGES + 2


async def test_unsettled_deliveries_in_the_journal_are_an_error(relay: RelayProcess, postgres: str) -> None:
    with closing(sqlite3.connect(relay.folder / "data" / "relay.db")) as raw:
        one, number = raw.execute("SELECT queue_id, number FROM entries WHERE state = 'active'").fetchone()
    journal, _ = DeliveryJournalFile.open(relay.folder / "data" / JOURNAL_FILE, lambda error: None)
    journal.record(JournalRecord(one, (number,), Delivered(Reply(250, "2.0.0", "ok"), "sink.test", False), time.time()))
    journal.close()
    done = await migrate(relay.config, postgres)
    assert (done.returncode, "start it once more on SQLite" in done.stderr) == (69, True)


async def test_errors_have_their_exit_codes(relay: RelayProcess, postgres: str, tmp_path: Path) -> None:
    assert (await migrate(relay.config, "mysql://x")).returncode == 64
    away = await migrate(relay.config, f"postgresql://u:hunter2@/d?host={tmp_path}")
    assert (away.returncode, "hunter2" in away.stderr) == (69, False)
    (relay.folder / "data" / "relay.db").unlink()
    gone = await migrate(relay.config, postgres)
    assert (gone.returncode, "there is no database" in gone.stderr) == (69, True)
    relay.config.write_text(relay.config.read_text() + f'[storage]\nurl = "{postgres}"\n')
    assert (await migrate(relay.config, postgres)).returncode == 78


async def test_check_shows_both_databases(relay: RelayProcess, postgres: str) -> None:
    (sqlite_store,) = await relay.json("storage", "check")
    assert (sqlite_store["rows"]["messages"], sqlite_store["schema"]) == (MESSAGES + 1, max(schema.migrations()))
    assert (await migrate(relay.config, postgres)).returncode == 0
    relay.config.write_text(relay.config.read_text() + f'[storage]\nurl = "{postgres}"\n')
    (found,) = await relay.json("storage", "check")
    assert found["schema"] == sqlite_store["schema"]
    assert {name: found["rows"][name] for name in sqlite_store["rows"]} == sqlite_store["rows"]
    assert set(found["rows"]) - set(sqlite_store["rows"]) == ONLY_THERE
    assert found["octets"] > 0
    assert "rows of messages" in await relay.run("storage", "check")


async def test_both_databases_have_the_same_tables_and_columns(postgres: str, tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "relay.db", now=time.time())
    await store.close()
    await asyncio.to_thread(schema.prepare, Target(postgres))
    with closing(SqliteExport.open(tmp_path / "relay.db")) as source, psycopg.connect(postgres) as raw:
        for table in source.tables():
            rows = raw.execute(
                "SELECT column_name FROM information_schema.columns "
                "WHERE table_schema = current_schema() AND table_name = %s",
                (table.name,),
            ).fetchall()
            assert set(table.columns) <= {name for (name,) in rows}, table.name
