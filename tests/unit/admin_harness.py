"""An admin server over a store with two messages, and a client of it."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from relay.admin.address_lists import SuppressionRoutes, UnsubscribeRoutes
from relay.admin.application import NodeRoutes, ServerRoutes, admin_application
from relay.admin.domains import DomainRoutes
from relay.admin.identities import IdentityRoutes
from relay.admin.link_blocks import LinkBlockRoutes
from relay.admin.people import PeopleRoutes
from relay.admin.providers import ProviderRoutes
from relay.admin.queue import QueueRoutes
from relay.admin.reports import ReportRoutes
from relay.admin.server import AdminServer
from relay.config.console import Console
from relay.config.settings import Settings
from relay.events.event import Event, Kind
from relay.listening_sockets import listen_unix
from relay.mail.queue_id import queue_id
from relay.people.audit_trail import AuditTrail
from relay.people.login import People
from relay.queue.entry import Entry
from relay.queue.message import Message, NewMessage
from relay.queue.routing import LanePause
from relay.render.message_policy import MessagePolicy
from relay.rewrite.tokens import new_key, parse_keyring
from relay.storage.sqlite.store import SqliteStore
from relay.storage.store import Store
from relay.tracker.link_blocks import BlockParser
from tests.servers.signing_harness import SigningHarness
from tests.servers.verification_harness import VerificationHarness

NOW = 1_700_000_000.0

FIRST, SECOND = queue_id(NOW, 1), queue_id(NOW, 2)

PROVIDERS = Settings.model_validate(
    {
        "server": {"hostname": "relay.test"},
        "provider": [
            {"name": "newsletter", "host": "smtp.one.test", "hourly_limit": 2, "daily_limit": 9},
            {"name": "backup", "host": "smtp.two.test", "port": 2525},
        ],
        "domains": {"acme.test": {"return_path": "b.acme.test"}},
    }
)

KEYRING = parse_keyring([new_key(b"k" * 32)])

CONTENT = b"From: app@acme.test\r\nSubject: gr\xfc\xdfe\r\n\r\nsecret body\r\n"


async def exposition() -> bytes:
    """Return metrics."""
    return b"relay_up 1\n"


class AdminHarness:
    """An admin server and a client of it."""

    def __init__(self, store: Store, socket: Path) -> None:
        self.store = store
        self.socket = socket
        self.published: list[Event] = []
        self.pauses: dict[str, LanePause] = {}
        self.wakes = 0
        self.lines: list[tuple[str, dict[str, object]]] = []
        self.reloaded: Mapping[str, object] = {"changed": ["domains"], "restart_needed": []}
        self.server = AdminServer(
            admin_application(
                ServerRoutes(
                    reload=self.reload,
                    status=self.status,
                    configuration=self.configuration,
                    metrics=exposition,
                    readiness=lambda: {"store": True, "listeners": True},
                ).table(),
                self.queue_routes(store).table(),
                DomainRoutes(SigningHarness(store.database, Settings(), lambda: NOW).build(), Settings).table(),
                IdentityRoutes(
                    VerificationHarness(store, Settings(), lambda: NOW).verifier, store.limits, dict
                ).table(),
                NodeRoutes(store.nodes).table(),
                self.people_routes(store).table(),
                self.provider_routes(store).table(),
                ReportRoutes(Settings, store.reports, store.reports, store.reports).table(),
                SuppressionRoutes(store.suppressions, lambda: NOW + 10).table(),
                LinkBlockRoutes(
                    store.link_blocks,
                    parser=lambda: BlockParser(KEYRING),
                    clock=lambda: NOW + 10,
                    log=lambda line, **fields: self.lines.append((line, fields)),
                ).table(),
                UnsubscribeRoutes(store.unsubscribes, Settings, lambda: NOW + 10).table(),
            )
        )

    def people_routes(self, store: Store) -> PeopleRoutes:
        audit = AuditTrail(
            store.changes, lambda line, **fields: self.lines.append((line, fields)), lambda: NOW, lambda: "c"
        )
        people = People(
            Console,
            store.accounts,
            store.sessions,
            audit,
            keys=lambda: [("k", b"1" * 32)],
            clock=lambda: NOW,
            random=lambda octets: b"\0" * octets,
        )
        return PeopleRoutes(Console, people, store.changes, lambda: NOW)

    def queue_routes(self, store: Store) -> QueueRoutes:
        return QueueRoutes(
            store=store.queue,
            stories=store.reports,
            limits=store.limits,
            clock=lambda: NOW + 10,
            publish=self.published.extend,
            wake=self.wake,
            slots_released=lambda: None,
        )

    def provider_routes(self, store: Store) -> ProviderRoutes:
        return ProviderRoutes(
            settings=lambda: PROVIDERS,
            store=store.queue,
            limits=store.limits,
            clock=lambda: NOW + 10,
            new_id=lambda now: queue_id(now, 77),
            publish=self.published.extend,
            pauses=lambda: self.pauses,
            end_pause=self.end_pause,
            wake=self.wake,
        )

    async def end_pause(self, lane: str) -> int | None:
        return None if self.pauses.pop(lane, None) is None else 3

    def wake(self) -> None:
        self.wakes += 1

    async def reload(self) -> Mapping[str, object]:
        return self.reloaded

    async def status(self) -> Mapping[str, object]:
        return {"version": "1", "healthy": True, "queue": {}}

    async def configuration(self) -> Mapping[str, object]:
        return {"settings": {}, "differences": [], "faults": []}

    async def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        connector = aiohttp.UnixConnector(str(self.socket))
        async with (
            aiohttp.ClientSession(connector=connector) as client,
            client.request(method, f"http://relay{path}", json=body) as answer,
        ):
            is_json = answer.content_type == "application/json"
            return answer.status, await answer.json() if is_json else await answer.text()


async def fill(store: Store) -> None:
    """Enqueue two messages, the first to two recipients."""
    for number, (name, recipients) in enumerate(((FIRST, ("a@x.test", "b@y.test")), (SECOND, ("a@x.test",)))):
        message = Message(
            name,
            NOW + number,
            "app@acme.test",
            MessagePolicy(domain="acme.test", identity="app@acme.test"),
            message_id=f"<{number}@acme.test>",
            header_from="app@acme.test",
        )
        entries = tuple(
            Entry(name, index, address, f"mx:{address.partition('@')[2]}", NOW, NOW + 1e6, NOW + 3600)
            for index, address in enumerate(recipients)
        )
        created = tuple(Event(Kind.CREATED, NOW, name, one.number, one.recipient) for one in entries)
        await store.queue.enqueue(NewMessage(message, CONTENT, entries, created))


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[AdminHarness]:
    store = await SqliteStore.open(tmp_path / "relay.db", now=NOW)
    await fill(store)
    opened = AdminHarness(store, tmp_path / "admin.sock")
    await opened.server.start_unix(listen_unix(opened.socket))
    yield opened
    await opened.server.stop()
    await store.close()
