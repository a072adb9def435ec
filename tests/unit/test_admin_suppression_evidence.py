"""The replay of the suppression list over the admin API."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from relay.admin.server import AdminServer
from relay.admin.suppression_evidence import EvidenceRoutes
from relay.config.settings import Settings
from relay.dsn.rules_file import built_in_rules
from relay.events.event import Event, Kind
from relay.events.ports import StoreError
from relay.listening_sockets import listen_unix
from relay.mail.queue_id import queue_id
from relay.queue.bounce_policy import BouncePolicy
from relay.queue.entry import Entry, State
from relay.queue.message import Message, NewMessage
from relay.render.message_policy import MessagePolicy
from relay.storage.sqlite.store import SqliteStore
from relay.suppression.model import Suppression
from relay.suppression.ports import SuppressionQuery

NOW = 1_800_000_000.0

ID = queue_id(NOW, 1)

GONE = Suppression("u@x.test", "", "bad_mailbox", "", "550 5.1.1 user unknown", ID, NOW + 60, NOW + 900)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """A store with a bounce that came by mail: it counts for mail of acme.test only."""
    store = await SqliteStore.open(tmp_path / "relay.db", now=NOW)
    message = Message(ID, NOW, "news@acme.test", MessagePolicy(domain="acme.test"))
    entry = Entry(ID, 0, "u@x.test", "mx:x.test", NOW, NOW + 9, NOW, state=State.DELIVERED)
    late = Event(Kind.BOUNCED, NOW, ID, 0, data={"late": True, "reply": GONE.reply})
    await store.queue.enqueue(NewMessage(message, b"x", (entry,), (late,)))
    await store.suppressions.add([GONE])
    yield store
    await store.close()


async def _replay(store: SqliteStore, folder: Path) -> int:
    policy = BouncePolicy(built_in_rules, threshold=3)
    app = web.Application()
    app.add_routes(EvidenceRoutes(Settings, lambda: policy, store.suppressions, store.reports, lambda: NOW).table())
    server = AdminServer(app)
    await server.start_unix(listen_unix(folder / "admin.sock"))
    connector = aiohttp.UnixConnector(str(folder / "admin.sock"))
    async with aiohttp.ClientSession(connector=connector) as client:
        answer = await client.post("http://relay/suppressions/replay", json={})
    await server.stop()
    return answer.status


@pytest.mark.parametrize(
    ("listed", "kept"),
    [
        (None, replace(GONE, domain="acme.test")),
        (Suppression("u@x.test", "acme.test", reply="he asked for it"), None),
        (replace(GONE, domain="acme.test", expires_at=NOW + 10_000), None),
        (replace(GONE, domain="acme.test", expires_at=NOW + 100), replace(GONE, domain="acme.test")),
    ],
)
async def test_a_narrowed_row_replaces_none_that_lasts_longer(
    store: SqliteStore, tmp_path: Path, listed: Suppression | None, kept: Suppression | None
) -> None:
    if listed is not None:
        await store.suppressions.add([listed])
    assert await _replay(store, tmp_path) == 200
    assert await store.suppressions.find(SuppressionQuery()) == [kept or listed]


async def test_a_store_that_fails_in_between_leaves_the_address_suppressed(
    store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(rows: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(store.suppressions, "add", failing)
    assert await _replay(store, tmp_path) == 500
    assert await store.suppressions.find(SuppressionQuery()) == [GONE]
