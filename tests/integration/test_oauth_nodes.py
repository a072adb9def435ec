"""Nodes on one PostgreSQL, with one login: the endpoint ends it when a refresh token is used twice."""

import asyncio
import os
import time
from base64 import b64encode
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from relay.oauth.rotation import RefreshTokens
from relay.oauth.sealing import unseal
from relay.oauth.token_endpoint import request_token
from relay.oauth.tokens import AccessToken, TokenSource
from relay.storage.postgres.store import PostgresStore
from tests.integration.mail_helpers import send
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink
from tests.servers.token_endpoint import TokenEndpoint
from tests.unit.oauth_parts import KEYS, Moments, account_of

ROUNDS = 5
"""Times that both nodes need a new token at once."""


class Node:
    """One node: its store, and its token source."""

    def __init__(self, store: PostgresStore, endpoint: TokenEndpoint) -> None:
        self.refresh = RefreshTokens(
            store.oauth_tokens,
            keys=lambda: KEYS,
            ask=request_token,
            clock=time.time,
            random=os.urandom,
            store_failed=lambda _: None,
        )
        table = {"preset": "custom", "flow": "user", "client_id": "app", "token_url": endpoint.url}
        account = account_of({**table, "device_url": endpoint.device_url})
        self.source = TokenSource(
            account,
            self.refresh,
            request_token,
            clock=time.time,
            steady=Moments(0.0),
            random=os.urandom,
            noted=lambda *_: None,
        )

    async def new_token(self) -> str:
        self.source.forget()
        found = await self.source.token()
        assert isinstance(found, AccessToken), found
        return found.value


async def opened(url: str, folder: Path) -> PostgresStore:
    folder.mkdir()
    return await PostgresStore.open(url, folder, now=time.time())


async def test_two_nodes_rotate_one_login_and_neither_uses_a_token_of_the_other(
    tables: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.oauth.rotation.POLL", 0.01)
    async with TokenEndpoint(tmp_path) as endpoint:
        monkeypatch.setenv("SSL_CERT_FILE", str(endpoint.authority))
        stores = [await opened(tables, tmp_path / name) for name in ("a", "b")]
        try:
            one, other = (Node(store, endpoint) for store in stores)
            await one.refresh.put("up", "refresh-1")
            given: list[str] = []
            for _ in range(ROUNDS):
                given += await asyncio.gather(one.new_token(), other.new_token())

            assert endpoint.reused == 0
            assert len(set(given)) == 2 * ROUNDS
            used = [form["refresh_token"] for form in endpoint.forms]
            assert used == [f"refresh-{number}" for number in range(1, 2 * ROUNDS + 1)]
            (row,) = await stores[1].oauth_tokens.tokens()
            assert unseal(row.sealed, "up", KEYS) == endpoint.refresh_token
        finally:
            for store in stores:
                await store.close()


async def test_a_node_that_ends_while_it_asks_holds_the_token_for_a_minute_at_most(
    tables: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.oauth.rotation.POLL", 0.01)
    monkeypatch.setattr("relay.oauth.tokens.MAX_WAIT", 0.2)
    async with TokenEndpoint(tmp_path) as endpoint:
        monkeypatch.setenv("SSL_CERT_FILE", str(endpoint.authority))
        store = await opened(tables, tmp_path / "a")
        try:
            node, now = Node(store, endpoint), time.time()
            await node.refresh.put("up", "refresh-1")
            assert await store.oauth_tokens.lease("up", "node that was killed", now, now + 60) is not None
            assert not isinstance(await node.source.token(), AccessToken)
            assert endpoint.forms == []

            assert await store.oauth_tokens.lease("up", "another node", now + 60, now + 120) is not None
            await store.oauth_tokens.release("up", "another node")
            await node.source.close()
            found = await node.source.token()
            assert isinstance(found, AccessToken)
            assert found.value == "access-1"
        finally:
            await store.close()


PERSON = """
[storage]
url = "{database}"
[[provider]]
name = "person"
host = "127.0.0.1"
port = {port}
tls = "none"
username = "ada@acme.test"
[provider.oauth]
preset = "custom"
flow = "user"
client_id = "app"
token_url = "{url}"
device_url = "{device_url}"
"""

TRACKER_KEY = f"k1:{b64encode(bytes(range(32))).decode()}\n"

MAIL = b"From: a@app.test\r\nX-Relay-Provider: person\r\nSubject: hi\r\n\r\nhi\r\n"


async def test_two_relays_rotate_one_login_while_the_server_refuses_their_tokens(
    tables: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extensions = ("PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "AUTH XOAUTH2")
    async with TokenEndpoint(tmp_path) as endpoint, Sink(extensions=extensions) as sink:
        monkeypatch.setenv("SSL_CERT_FILE", str(endpoint.authority))
        urls = {"url": endpoint.url, "device_url": endpoint.device_url}
        more = PERSON.format(database=tables, port=sink.port, **urls)
        relays = [_node(tmp_path / name, sink.port, more) for name in ("one", "other")]
        async with AsyncExitStack() as stack:
            await asyncio.gather(*map(stack.enter_async_context, relays))
            await relays[0].run("oauth", "login", "person")
            for done in range(ROUNDS):
                given = len(endpoint.given)
                sink.tokens = {f"access-{given + 1}", f"access-{given + 2}"}
                sends = (asyncio.to_thread(send, relay.port, MAIL, ["you@rcpt.test"]) for relay in relays)
                await asyncio.gather(*sends)
                await sink.received(2 * (done + 1))

            assert endpoint.reused == 0
            used = [form["refresh_token"] for form in endpoint.forms if "refresh_token" in form]
            assert used == [f"refresh-{number}" for number in range(2, len(used) + 2)]
            assert len(used) > ROUNDS
            assert not any(relay.log("delivery.paused") for relay in relays)


def _node(folder: Path, port: int, more: str) -> RelayProcess:
    """Return a relay with the tracker key that all nodes have: it seals the login."""
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "tracker.key").write_text(TRACKER_KEY)
    (folder / "data" / "tracker.key").chmod(0o600)
    relay = RelayProcess(folder, port, more)
    relay.environment = {"SSL_CERT_FILE": os.environ["SSL_CERT_FILE"]}
    relay.config.chmod(0o600)
    return relay
