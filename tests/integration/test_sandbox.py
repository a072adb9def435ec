"""Under sandbox nothing leaves: a spy in the process of the relay notes each connection that it opens."""

import asyncio
import json
import smtplib
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from relay.config.secret_hash import hash_secret
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink
from tests.servers.waiting import until

pytestmark = pytest.mark.slow

NAME_SERVER = ("127.0.0.1", 9)
"""The only address that may be asked: nobody answers there."""

HTML = 'Content-Type: text/html\r\n\r\n<p>Hello <a href="https://shop.test/1">one</a></p>\r\n'


class SpiedRelay(RelayProcess):
    """A relay whose connections are noted."""

    program = ("-m", "tests.servers.spied_relay")

    def __init__(self, folder: Path, sink_port: int, more: str = "") -> None:
        super().__init__(folder, sink_port, more)
        self.spied = folder / "spied.jsonl"
        self.environment = {"SPY_FILE": str(self.spied)}

    def connections(self) -> list[tuple[Any, ...]]:
        """Return the addresses that are no Unix socket and not the name server."""
        lines = self.spied.read_text(encoding="utf-8").splitlines() if self.spied.exists() else []
        found = [tuple(address) for _, address in map(json.loads, lines) if isinstance(address, list)]
        return [one for one in found if one[:2] != NAME_SERVER]

    async def send(self, *recipients: str, header: str = "", notify: str = "", login: str = "") -> str:
        return await asyncio.to_thread(self._send, recipients, header, notify, login)

    def _send(self, recipients: tuple[str, ...], header: str, notify: str, login: str) -> str:
        with smtplib.SMTP("127.0.0.1", self.port, timeout=20) as client:
            client.ehlo()
            if login:
                client.login(login, "secret")
            client.mail("news@acme.test")
            for one in recipients:
                client.rcpt(one, [f"NOTIFY={notify}"] if notify else [])
            content = f"From: news@acme.test\r\nTo: {recipients[0]}\r\nSubject: hi\r\n{header}{HTML}"
            code, text = client.data(content.encode())
            assert code == 250, text
            return text.decode().rsplit(" ", 1)[1]

    async def statuses(self, queue_id: str) -> list[str]:
        (story,) = await self.json("trace", queue_id)
        return [one["status"] for one in story["recipients"]]

    async def until_over(self) -> None:
        """Wait until no entry of the queue is open."""

        async def empty() -> bool:
            return not await self.json("queue", "list")

        await until(empty)


def providers(port: int, sandbox: str, *, domain: str = "", identity: str = "", login: str = "") -> str:
    """Return a configuration in which mail can leave by many ways."""
    secret = hash_secret("secret", b"s" * 16)
    other = f'host = "127.0.0.1"\nport = {port}\ntls = "none"'
    return f"""
{sandbox}
[simulator]
speed = 60
[resolver]
nameservers = ["127.0.0.1:9"]
[delivery]
allow_networks = ["127.0.0.0/8"]
port = {port}
[[provider]]
name = "fallback"
{other}
[[provider]]
name = "newsletter"
{other}
[[provider]]
name = "own"
{other}
[[provider]]
name = "chosen"
{other}
[credentials.app]
secret_hash = "{secret}"
providers = ["chosen", "direct"]
{login}
[domains."acme.test"]
provider = "sink"
fallback_providers = ["fallback", "direct"]
campaign_provider = "newsletter"
campaign_fallback_providers = ["fallback"]
return_path = "bounces.acme.test"
reply_domain = "reply.acme.test"
bcc = ["archive@acme.test"]
tracking = {{ base_url = "https://t.acme.test" }}
{domain}
[identities."news@acme.test"]
reply_tracking = true
provider = "own"
hourly_limit = 1000
daily_limit = 1000
forward_to = ["owner@acme.test"]
{identity}
[limits]
identity_daily_ceiling = 1000
"""


def configured(relay: SpiedRelay) -> SpiedRelay:
    """Switch the guard of the tracker off: it would ask for the tracking host."""
    text = relay.config.read_text(encoding="utf-8")
    relay.config.write_text(text.replace("[tracker]\n", "[tracker]\nguard = false\n"), encoding="utf-8")
    return relay


WAYS = ["", "X-Relay-Campaign: autumn\r\n", "X-Relay-Provider: chosen\r\n", "X-Relay-Provider: direct\r\n"]

TO = ["ada@reader.test", "literal@[127.0.0.1]", "bounce@simulator.amazonses.com", "reply@simulator.relay.invalid"]


async def send_every_way(relay: SpiedRelay, header: str = "") -> list[str]:
    """Send by every provider, with notifications of success and failure, to strangers and to words."""
    return [await relay.send(*TO, header=header + way, notify="SUCCESS,FAILURE", login="app") for way in WAYS]


@pytest.mark.parametrize(
    ("where", "setting"),
    [
        ("defaults", ""),
        ("domain", "sandbox = true"),
        ("identity", "sandbox = true"),
        ("login", "sandbox = true"),
        ("header", "X-Relay-Sandbox: yes\r\n"),
    ],
)
async def test_under_sandbox_nothing_leaves_by_any_provider(tmp_path: Path, where: str, setting: str) -> None:
    async with Sink() as sink:
        tables = {where: setting} if where in ("domain", "identity", "login") else {}
        relay = SpiedRelay(tmp_path, sink.port, providers(sink.port, "", **tables))
        if where == "defaults":
            text = relay.config.read_text(encoding="utf-8")
            relay.config.write_text(text.replace("[defaults]\n", "[defaults]\nsandbox = true\n"), encoding="utf-8")
        async with configured(relay):
            ids = await send_every_way(relay, setting if where == "header" else "")

            async def replied(queue_id: str) -> bool:
                (story,) = await relay.json("trace", queue_id)
                return "reply" in [event["event"] for event in story["events"]]

            for queue_id in ids:
                await until(partial(replied, queue_id))
            await relay.until_over()
            for queue_id in ids:
                # Three strangers and words, and the copy.
                expected = ["delivered", "delivered", "bounced", "delivered", "delivered"]
                assert await relay.statuses(queue_id) == expected
            rows = await relay.json("report", "messages", "--status", "delivered", "--all", "--system", "--simulated")
            notifications = [one for one in rows if one["subject"].startswith("DSN ")]
            forwards = [one for one in rows if one["recipient"] == "owner@acme.test"]
            # Of each mail: one success for each of three recipients, and the failure.
            assert len(notifications) == 4 * len(ids)
            assert len(forwards) == len(ids)
            assert await relay.json("report", "messages", "--status", "delivered", "--all", "--system") == []
        assert relay.connections() == []
        assert sink.messages == []


async def test_the_spy_sees_what_leaves_without_sandbox(tmp_path: Path) -> None:
    async with Sink() as sink:
        async with configured(SpiedRelay(tmp_path, sink.port, providers(sink.port, ""))) as relay:
            await relay.send("ada@reader.test", login="app")
            await sink.received(1)
        assert ("127.0.0.1", sink.port) in relay.connections()


async def test_sandbox_mail_goes_to_the_given_addresses_alone(tmp_path: Path) -> None:
    setting = 'sandbox = { deliver_to = ["qa@acme.test", "dev@acme.test"] }'
    async with (
        Sink() as sink,
        configured(SpiedRelay(tmp_path, sink.port, providers(sink.port, "", domain=setting))) as relay,
    ):
        queue_id = await relay.send("ada@reader.test", "hard@simulator.relay.invalid", login="app")
        await relay.until_over()
        got = [(one.recipients, one.content) for one in sink.messages if b"Subject: hi" in one.content]
        assert sorted(recipients for recipients, _ in got) == [["dev@acme.test"], ["qa@acme.test"]]
        assert all(b"X-Original-To: ada@reader.test\r\n" in content for _, content in got)
        (story,) = await relay.json("trace", queue_id)
        assert [(one["recipient"], one["status"]) for one in story["recipients"]] == [
            ("qa@acme.test", "delivered"),
            ("dev@acme.test", "delivered"),
            ("hard@simulator.relay.invalid", "bounced"),
        ]
        created = [one for one in story["events"] if one["event"] == "created"]
        assert [one.get("original_to") for one in created] == ["ada@reader.test", "ada@reader.test", None]


async def test_plain_sandbox_is_stronger_than_other_addresses(tmp_path: Path) -> None:
    setting = 'sandbox = { deliver_to = ["qa@acme.test"] }'
    async with Sink() as sink:
        async with configured(SpiedRelay(tmp_path, sink.port, providers(sink.port, "", domain=setting))) as relay:
            queue_id = await relay.send("ada@reader.test", header="X-Relay-Sandbox: yes\r\n", login="app")
            await relay.until_over()
            (story,) = await relay.json("trace", queue_id)
            delivered = [one for one in story["events"] if one["event"] == "delivered"]
            assert [one["reply"] for one in delivered] == ["250 2.0.0 Sandbox"] * 2
            assert all(one["simulated"] for one in delivered)
            shown = await relay.run("queue", "show", queue_id, "--sent")
            assert "https://t.acme.test/c/" in shown
        assert relay.connections() == []


async def test_a_header_that_is_no_yes_and_no_no_is_refused(tmp_path: Path) -> None:
    async with Sink() as sink, configured(SpiedRelay(tmp_path, sink.port, providers(sink.port, ""))) as relay:
        with pytest.raises(AssertionError, match="X-Relay-Sandbox"):
            await relay.send("ada@reader.test", header="X-Relay-Sandbox: maybe\r\n", login="app")
