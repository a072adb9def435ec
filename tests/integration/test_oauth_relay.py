"""A relay whose provider logs in by OAuth2, as an operator meets it: login, status, test mail, pause, logout.

The tests share one relay, one token endpoint and one receiving server. Each leaves the person logged out.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.integration.mail_helpers import HTML, send
from tests.servers.actions import Say
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink
from tests.servers.token_endpoint import Answer, TokenEndpoint
from tests.servers.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

PROVIDERS = """
[[provider]]
name = "app"
host = "127.0.0.1"
port = {port}
tls = "none"
username = "billing@acme.test"
[provider.oauth]
preset = "custom"
client_id = "app"
client_secret = "hush-hush"
token_url = "{url}"

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

ACCOUNTS = ("app", "person")

SECRETS = ("access-", "refresh-", "hush-hush", "device-secret")


@dataclass
class World:
    relay: RelayProcess
    sink: Sink
    endpoint: TokenEndpoint

    async def status(self, account: str) -> dict[str, object]:
        (row,) = [one for one in await self.relay.json("oauth", "status") if one["account"] == account]
        return row


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    folder: Path = tmp_path_factory.mktemp("oauth")
    extensions = ("PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "AUTH XOAUTH2")
    with pytest.MonkeyPatch.context() as patch:
        async with TokenEndpoint(folder) as endpoint, Sink(extensions=extensions) as sink:
            patch.setenv("SSL_CERT_FILE", str(endpoint.authority))
            urls = {"url": endpoint.url, "device_url": endpoint.device_url}
            relay = RelayProcess(folder, sink.port, PROVIDERS.format(port=sink.port, **urls))
            relay.environment = {"SSL_CERT_FILE": str(endpoint.authority)}
            relay.config.chmod(0o600)
            async with relay:
                yield World(relay, sink, endpoint)


@pytest_asyncio.fixture(loop_scope="module")
async def world(shared: World) -> World:
    """The relay without sessions of the tests before: one that is logged in needs no token."""
    await shared.sink.end_sessions()
    return shared


@pytest_asyncio.fixture(loop_scope="module")
async def logged_in(world: World) -> AsyncIterator[World]:
    """The world with the login of the person, for one test."""
    code, said = await world.relay.ran("oauth", "login", "person")
    assert code == 0, said
    yield world
    await world.relay.run("oauth", "logout", "person")


async def test_a_test_mail_shows_the_token_as_a_step_of_its_own(world: World) -> None:
    before = len(world.sink.messages)
    code, said = await world.relay.ran("send-test", "--provider", "app", "--to", "you@rcpt.test")
    assert code == 0, said
    assert "token from localhost, 36" in said or "token from localhost, 35" in said
    assert said.endswith("provider app works\n")
    *_, got = await world.sink.received(before + 1)
    assert got.login.startswith("XOAUTH2 billing@acme.test:access-")
    rows = {row["name"]: row["auth"] for row in await world.relay.json("provider", "list")}
    assert rows == {"direct": "none", "sink": "none", "app": "oauth2", "person": "oauth2"}


async def test_a_login_with_a_code_ends_the_pause_outlives_a_restart_and_is_deleted_by_the_logout(world: World) -> None:
    relay, sink, endpoint = world.relay, world.sink, world.endpoint
    before = len(sink.messages)
    mail = HTML.replace(b"Subject:", b"X-Relay-Provider: person\r\nSubject:")
    await asyncio.to_thread(send, relay.port, mail, ["waits@rcpt.test"])
    await until(lambda: bool(paused(relay, "provider:person")))
    (line,) = paused(relay, "provider:person")
    assert line["category"] == "credentials"
    assert "no login is stored. Run `relay oauth login person`." in line["reply"]
    assert (await world.status("person"))["state"] == "login needed"
    assert not relay.log("message.bounced")

    endpoint.next += [Answer(400, {"error": "authorization_pending"}), Answer(400, {"error": "authorization_pending"})]
    code, said = await relay.ran("oauth", "login", "person")
    assert code == 0, said
    assert "https://login.test/device" in said
    assert "WDJB-MJHT" in said
    assert "person is logged in: token from localhost" in said
    *_, got = await sink.received(before + 1)
    assert got.recipients == ["waits@rcpt.test"]
    assert got.login.startswith("XOAUTH2 ada@acme.test:access-")
    state = await world.status("person")
    assert (state["state"], state["error"]) == ("ok", "")
    assert state["logged_in_at"]

    await relay.kill()
    await relay.start()
    await until_state(world, "person", "ok")
    assert endpoint.reused == 0

    assert "the login of person is deleted" in await relay.run("oauth", "logout", "person")
    assert "no login is stored for person" in await relay.run("oauth", "logout", "person")
    assert (await world.status("person"))["logged_in_at"] is None


async def test_a_disabled_mailbox_pauses_the_provider_with_the_remedy_and_no_mail_bounces(world: World) -> None:
    relay, sink = world.relay, world.sink
    disabled = "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant."
    sink.always("AUTH", Say(disabled))
    code, said = await relay.ran("send-test", "--provider", "app", "--to", "you@rcpt.test")
    sink.behave()
    assert code == 77, said
    assert "SMTP AUTH is switched off for this mailbox or tenant" in said
    (line,) = paused(relay, "provider:app")
    assert line["category"] == "credentials"
    assert "Set-CASMailbox" in line["guidance"]
    assert not relay.log("message.bounced")
    assert "is tried again" in await relay.run("provider", "resume", "app")


@pytest.mark.parametrize(("account", "why"), [("app", 'its flow is "app"'), ("nobody", "it has: app, person")])
async def test_only_an_account_that_needs_a_login_gets_one(world: World, account: str, why: str) -> None:
    code, said = await world.relay.ran("oauth", "login", account)
    assert code == 78
    assert why in said


async def test_a_declined_login_says_what_to_do(world: World) -> None:
    world.endpoint.next += [Answer(400, {"error": "access_denied"})]
    code, said = await world.relay.ran("oauth", "login", "person")
    assert code == 77, said
    assert "what to do: The login was declined." in said


async def test_no_output_and_no_file_but_the_configuration_has_a_secret(logged_in: World) -> None:
    world = logged_in
    shown = [await world.relay.run("send-test", "--provider", name, "--to", "you@rcpt.test") for name in ACCOUNTS]
    shown += [await world.relay.run("oauth", "status"), await world.relay.run("config", "show")]
    shown += [await world.relay.run("provider", "list"), await world.relay.run("status")]
    texts = [text.encode() for text in shown]
    texts += [
        file.read_bytes() for file in world.relay.folder.rglob("*") if file.is_file() and file != world.relay.config
    ]
    for secret in SECRETS:
        assert not any(secret.encode() in text for text in texts), secret


def paused(relay: RelayProcess, lane: str) -> list[dict[str, Any]]:
    return [line for line in relay.log("delivery.paused") if line["lane"] == lane]


async def until_state(world: World, account: str, state: str) -> None:
    async def reached() -> bool:
        return (await world.status(account))["state"] == state

    await until(reached)
