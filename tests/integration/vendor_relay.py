"""A relay with an API in the forms of mail services, and a client of it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from relay.config.credentials import new_key
from relay.config.secret_hash import hash_secret
from tests.ports import free_port
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink
from tests.servers.vendor_client import VendorClient

KEY, OTHER, READER = (new_key(name, bytes([number] * 32)) for number, name in enumerate(("app", "other", "reader"), 1))


def configuration(port: int) -> str:
    hashes = {key: hash_secret(key, bytes(16)) for key in (KEY, OTHER, READER)}
    return f"""
[api]
address = "127.0.0.1:{port}"
[credentials.app]
secret_hash = "{hashes[KEY]}"
scopes = ["send", "read", "suppressions"]
[credentials.other]
secret_hash = "{hashes[OTHER]}"
scopes = ["send", "read", "suppressions"]
[credentials.reader]
secret_hash = "{hashes[READER]}"
scopes = ["read"]
[compat.sendgrid.groups]
7 = "newsletter"
[compat.postmark.streams]
broadcast = "newsletter"
[domains."acme.test"]
tracking = {{ base_url = "https://t.acme.test" }}
[identities."other@beta.test"]
credentials = ["other"]
"""


@dataclass(frozen=True, slots=True)
class World:
    relay: RelayProcess
    sink: Sink
    client: VendorClient

    async def arrived(self, address: str) -> bytes:
        """Return what this address got."""
        return (await self.sink.received_by(address)).content

    async def story(self, address: str) -> dict[str, Any]:
        """Return the trace of the last message to this address."""
        return (await self.relay.json("trace", address))[0]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    port = free_port()
    folder = tmp_path_factory.mktemp("vendors")
    async with Sink() as sink, RelayProcess(folder, sink.port, configuration(port)) as relay:
        yield World(relay, sink, VendorClient(port, KEY))
