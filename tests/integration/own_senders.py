"""A relay with keys of several applications, each with senders of its own."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from relay.config.secret_hash import hash_secret
from tests.ports import free_port
from tests.servers.api_client import ApiClient
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink


def configuration(port: int) -> str:
    secret = hash_secret("secret", b"s" * 16)
    hooks = [
        ("acme", 'domains = ["acme.test"]'),
        ("news", 'identities = ["news@acme.test"]'),
        ("both", 'domains = ["acme.test", "beta.test"]'),
        ("every", ""),
    ]
    webhooks = "".join(
        f'[[webhook]]\nname = "{name}"\nurl = "http://127.0.0.1:9/"\nallow_networks = ["127.0.0.1/32"]\n{senders}\n'
        for name, senders in hooks
    )
    logins = [
        ("acme", '["send", "read", "webhooks", "manage"]', 'domains = ["acme.test"]'),
        ("reader", '["read"]', 'domains = ["acme.test"]'),
        ("news", '["send", "read", "webhooks", "manage"]', ""),
        ("left", '["read", "manage"]', 'domains = ["left.test"]'),
        ("all", '["send", "read", "webhooks", "manage"]', ""),
    ]
    credentials = "".join(
        f'[credentials.{name}]\nsecret_hash = "{secret}"\nscopes = {scopes}\n{domains}\n'
        for name, scopes, domains in logins
    )
    return f"""
[api]
address = "127.0.0.1:{port}"
{credentials}
{webhooks}
[domains."acme.test"]
[domains."beta.test"]
[identities."shop@acme.test"]
[identities."news@acme.test"]
credentials = ["news"]
[identities."shop@beta.test"]
"""


@dataclass(frozen=True, slots=True)
class World:
    relay: RelayProcess
    sink: Sink
    acme: ApiClient
    reader: ApiClient
    news: ApiClient
    left: ApiClient
    """Of a domain that is not there any more."""
    all: ApiClient

    async def send(self, sender: str, to: str, **more: str) -> str:
        """Send a mail of acme; return its queue id."""
        mail = {"from": sender, "to": [to], "subject": "Hello", "text": "Hello", **more}
        client = self.news if sender.startswith("news@") else self.acme
        sent = await client.post("/messages", mail)
        assert sent.status == 202, sent.json
        return str(sent.json["queue_id"])

    async def reason(self, queue_id: str) -> str:
        """Return why the recipient of a message waits."""
        return str((await self.acme.get(f"/messages/{queue_id}")).json["recipients"][0]["reason"])

    def has(self, address: str) -> bool:
        """Whether the address got mail."""
        return any(address in one.recipients for one in self.sink.messages)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    port = free_port()
    folder = tmp_path_factory.mktemp("relay")
    async with Sink() as sink, RelayProcess(folder, sink.port, configuration(port)) as relay:
        clients = (ApiClient(port, f"{name}:secret") for name in ("acme", "reader", "news", "left", "all"))
        yield World(relay, sink, *clients)
