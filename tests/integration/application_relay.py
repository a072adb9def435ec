"""A relay with a TLS listener that asks for a login, for the examples of the documents."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
import trustme

from relay.config.credentials import new_key
from relay.config.secret_hash import hash_secret
from tests.ports import free_port
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink

KEY = new_key("app1", bytes(20))

FROM, TO, SUBJECT = "billing@example.com", "you@example.net", "Hello from a recipe"


@dataclass
class World:
    """A relay with a TLS listener that asks for a login, what leaves it, and the file of its authority."""

    relay: RelayProcess
    sink: Sink
    port: int
    authority: Path

    async def arrived(self, before: int) -> bytes:
        return (await self.sink.received(before + 1))[before].content


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    folder = tmp_path_factory.mktemp("pages")
    authority, port = trustme.CA(), free_port()
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(folder / "relay.pem"))
    more = f"""
[[listener]]
name = "applications"
address = "127.0.0.1:{port}"
tls = "starttls"
certificate = "relay.pem"
auth = "required"
[credentials.app1]
secret_hash = "{hash_secret(KEY, bytes(16))}"
"""
    async with Sink() as sink, RelayProcess(folder, sink.port, more) as relay:
        yield World(relay, sink, port, folder / "authority.pem")
