"""A relay with keys that may change the settings of their own senders."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from relay.config.secret_hash import hash_secret
from tests.ports import free_port
from tests.servers.api_client import Answer, ApiClient
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink


def configuration(port: int) -> str:
    secret = hash_secret("secret", b"s" * 16)
    logins = [
        ("acme", '["send", "read", "manage"]', 'domains = ["acme.test", "new.test"]'),
        ("news", '["send", "read", "manage"]', ""),
        ("reader", '["read"]', 'domains = ["acme.test"]'),
        ("leaked", '["read"]', 'domains = ["acme.test"]'),
        ("all", '["send", "read", "manage"]', ""),
    ]
    hashes = {"leaked": hash_secret("other", b"t" * 16)}
    credentials = "".join(
        f'[credentials.{name}]\nsecret_hash = "{hashes.get(name, secret)}"\nscopes = {scopes}\n{domains}\n'
        for name, scopes, domains in logins
    )
    return f"""
[api]
address = "127.0.0.1:{port}"
requests_per_minute = 60000
max_identities = 12
{credentials}
[limits]
identity_hourly = 40
identity_daily = 200
identity_daily_ceiling = 0
[[provider]]
name = "spare"
host = "127.0.0.1"
port = 9
[[provider]]
name = "own"
host = "127.0.0.1"
port = 9
[domains."acme.test"]
fallback_providers = ["own"]
[domains."beta.test"]
[identities."hand@acme.test"]
[identities."shop@beta.test"]
"""


@dataclass(frozen=True, slots=True)
class World:
    relay: RelayProcess
    acme: ApiClient
    news: ApiClient
    reader: ApiClient
    all: ApiClient

    async def audit(self, subject: str) -> list[tuple[str, str, str, str]]:
        """Return what the audit has about a subject, oldest first."""
        rows = await self.relay.json("person", "audit", "--since", "1h")
        return [
            (one["person"], one["action"], one["before"], one["after"])
            for one in reversed(rows)
            if one["subject"] == subject
        ]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    port = free_port()
    folder = tmp_path_factory.mktemp("relay")
    async with Sink() as sink, RelayProcess(folder, sink.port, configuration(port)) as relay:
        clients = (ApiClient(port, f"{name}:secret") for name in ("acme", "news", "reader", "all"))
        yield World(relay, *clients)


def settings_of(address: str) -> str:
    return f"/identities/{address}/settings"


async def put(client: ApiClient, path: str, body: object, **headers: str) -> Answer:
    return await client.request("PUT", path, body, {name.replace("_", "-"): one for name, one in headers.items()})
