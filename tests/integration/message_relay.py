"""A relay with an API, a message for it, and clients with and without the right to send."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from relay.config.secret_hash import hash_secret
from tests.ports import free_port
from tests.servers.api_client import ApiClient
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Received, Sink
from tests.servers.waiting import until

MESSAGE: dict[str, Any] = {
    "from": "Jörg <shop@acme.test>",
    "to": ["Ada <ada@reader.test>"],
    "subject": "Größe 42",
    "text": "Hello, Ada\n",
    "html": "<p>Hello, Ada: <a href='https://acme.test/1'>look</a></p>",
}

MAIL = b"From: shop@acme.test\nTo: ada@reader.test\nSubject: as it is\nX-Relay-Tag: raw\n\nHello\n"


def configuration(port: int) -> str:
    secret = hash_secret("secret", b"s" * 16)
    return f"""
[api]
address = "127.0.0.1:{port}"
[limits]
max_message_size = 300_000
max_recipients = 20
identity_daily_ceiling = 1000
[credentials.shop]
secret_hash = "{secret}"
scopes = ["send", "read"]
[credentials.other]
secret_hash = "{secret}"
scopes = ["send", "read"]
[credentials.reader]
secret_hash = "{secret}"
scopes = ["read"]
[identities."shop@acme.test"]
credentials = ["shop"]
hourly_limit = 1000
daily_limit = 1000
[identities."slow@acme.test"]
credentials = ["shop"]
hourly_limit = 1
daily_limit = 1000
[identities."other@beta.test"]
credentials = ["other"]
"""


@dataclass(frozen=True, slots=True)
class World:
    relay: RelayProcess
    sink: Sink
    shop: ApiClient
    other: ApiClient
    reader: ApiClient

    async def sent(self, queue_id: str) -> Received:
        """Return the delivered message with this queue id."""

        def found() -> list[Received]:
            return [one for one in self.sink.messages if f"id {queue_id}".encode() in one.content]

        await until(found)
        return found()[0]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    port = free_port()
    async with (
        Sink() as sink,
        RelayProcess(tmp_path_factory.mktemp("relay"), sink.port, configuration(port)) as relay,
    ):
        clients = (ApiClient(port, f"{name}:secret") for name in ("shop", "other", "reader"))
        yield World(relay, sink, *clients)


def with_keys(**keys: Any) -> dict[str, Any]:
    return {**MESSAGE, **{name.rstrip("_"): value for name, value in keys.items()}}
