"""A tracker over a verifier whose mails are kept, and a browser without pictures."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html import unescape
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest

from relay.config.settings import Settings
from relay.events.sink import EventSink
from relay.events.spool import Spool
from relay.http_tracker import Tracker
from relay.listening_sockets import listen
from relay.rewrite.tokens import Kind, Token, sign_token
from relay.storage.sqlite.store import SqliteStore
from tests.servers.verification_harness import RING, VerificationHarness
from tests.servers.waiting import until

NOW = 1_800_000_000.0

JANE, OTHER = "jane@acme.test", "nobody@acme.test"

SETTINGS = Settings.model_validate(
    {
        "server": {"hostname": "relay.test", "identities_domain": "platform.test"},
        "identities": {
            JANE: {"forward_to": ["owner@x.test"]},
            "info@b\u00fccher.test": {},
            "rita@platform.test": {"forward_to": ["owner@x.test"]},
        },
    }
)

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass
class Answer:
    """Status, text and header fields of an answer."""

    status: int
    text: str
    retry_after: str

    @property
    def title(self) -> str:
        return self.text.partition("<title>")[2].partition("</title>")[0]

    @property
    def fault(self) -> str:
        return unescape(self.text.partition('role="alert">')[2].partition("</p>")[0])


class Site:
    """A tracker over a verifier whose mails are kept, and a browser without pictures."""

    def __init__(self, harness: VerificationHarness, session: aiohttp.ClientSession) -> None:
        self.harness = harness
        self._session = session
        self.now = NOW
        self.client = "192.0.2.1"

    async def ask(self, method: str, path: str, body: bytes | str | None = None, **headers: str) -> Answer:
        fields = {"X-Forwarded-For": self.client, **FORM} | {name.replace("_", "-"): headers[name] for name in headers}
        async with self._session.request(method, path, data=body, headers=fields) as answer:
            return Answer(answer.status, await answer.text(), answer.headers.get("Retry-After", ""))

    async def post(self, address: str, **fields: str) -> Answer:
        pairs = {"address": address, **fields}
        return await self.ask("POST", "/verify", "&".join(f"{key}={quote(text)}" for key, text in pairs.items()))

    async def sent_to(self, *addresses: str) -> None:
        """Wait until codes were sent to these addresses, one after another."""
        await until(lambda: len(self.harness.sent) >= len(addresses))
        sent = [one.envelope.recipients[0].address for one in self.harness.sent.values()]
        assert sent == list(addresses)

    def link(self) -> str:
        return f"/v/{sign_token(RING, Token(Kind.VERIFY, list(self.harness.sent)[-1], 0))}"


@asynccontextmanager
async def serving(folder: Path, settings: Settings = SETTINGS) -> AsyncIterator[Site]:
    store = await SqliteStore.open(folder / "relay.db", now=NOW)
    harness = VerificationHarness(store, settings, lambda: opened.now)
    sink = EventSink(None, Spool(folder / "spool"), lambda events: None)
    trusted = [ip_network("127.0.0.0/8")]
    tracker = Tracker(lambda: RING, sink, trusted_proxies=trusted, clock=lambda: opened.now, verification=harness.owner)
    await tracker.start(await listen(("127.0.0.1",), 0))
    sending = asyncio.create_task(harness.owner.run())
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{tracker.port}") as session:
            opened = Site(harness, session)
            yield opened
    finally:
        sending.cancel()
        await tracker.stop()
        await store.close()


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with serving(tmp_path) as found:
        yield found
