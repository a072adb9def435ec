"""A relay with keys of two domains, and of both; one domain has mail, pauses, suppressions and webhooks."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from relay.config.secret_hash import hash_secret
from tests.ports import free_port
from tests.servers.api_client import ApiClient
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink

BETA = "secret of beta"
"""Is in all that beta has, so that no answer to acme may have it."""


def configuration(port: int) -> str:
    secret = hash_secret("secret", b"s" * 16)
    scopes = '["send", "read", "suppressions", "webhooks", "manage"]'
    keys = [("acme", '"acme.test"'), ("beta", '"beta.test"'), ("all", "")]
    credentials = [
        f'[credentials.{name}]\nsecret_hash = "{secret}"\nscopes = {scopes}\ndomains = [{domains}]\n'
        for name, domains in keys
    ]
    return f"""
[api]
address = "127.0.0.1:{port}"
requests_per_minute = 60000
{"".join(credentials)}
[credentials.one]
secret_hash = "{secret}"
scopes = {scopes}
[credentials.onlysend]
secret_hash = "{secret}"
scopes = ["send"]
[credentials.onlyread]
secret_hash = "{secret}"
scopes = ["read"]
[domains."acme.test"]
[domains."beta.test"]
[identities."shop@acme.test"]
[identities."shop@beta.test"]
[identities."held@beta.test"]
[identities."one@acme.test"]
credentials = ["one"]
{webhook("hook-acme", 'domains = ["acme.test"]')}
{webhook("hook-one", 'identities = ["one@acme.test"]')}
{webhook("hook-beta", 'domains = ["beta.test"]')}
{webhook("hook-both", 'domains = ["acme.test", "beta.test"]')}
{webhook("hook-all", "")}
"""


def webhook(name: str, senders: str) -> str:
    """Return a webhook whose receiver is not there."""
    return f"""
[[webhook]]
name = "{name}"
url = "http://127.0.0.1:9/{name}"
allow_networks = ["127.0.0.1/32"]
{senders}
"""


@dataclass(frozen=True, slots=True)
class World:
    relay: RelayProcess
    acme: ApiClient
    beta: ApiClient
    all: ApiClient
    one: ApiClient
    queue_id: str
    """A message of beta."""


def mail(sender: str) -> dict[str, Any]:
    return {"from": sender, "to": ["ada@reader.test"], "subject": BETA, "text": "Hello", "tags": [BETA]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    port = free_port()
    async with (
        Sink() as sink,
        RelayProcess(tmp_path_factory.mktemp("relay"), sink.port, configuration(port)) as relay,
    ):
        text = relay.config.read_text().replace("[server]", '[server]\nidentities_domain = "beta.test"', 1)
        relay.config.write_text(text)
        await relay.run("config", "reload")
        acme, beta, everything, one = (ApiClient(port, f"{name}:secret") for name in ("acme", "beta", "all", "one"))
        await relay.run("site", "pause", "--identity", "held@beta.test", "--reason", BETA)
        assert (await beta.post("/messages", mail("held@beta.test"))).status == 202
        sent = await beta.post("/messages", mail("shop@beta.test"))
        assert sent.status == 202
        held = {"address": "reader@b.test", "domain": "beta.test", "reply": BETA}
        assert (await beta.post("/suppressions", {"suppressions": [held]})).status == 200
        left = {"address": "reader@b.test", "domain": "beta.test", "campaign": BETA}
        assert (await beta.post("/unsubscribes", {"unsubscribes": [left]})).status == 200
        yield World(relay, acme, beta, everything, one, sent.json["queue_id"])
