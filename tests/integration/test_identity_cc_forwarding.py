"""The CC step end to end: a mailbox elsewhere with and without a forwarder to its CC tracking address.

relay ──MX──▶ mailbox of jane@acme.test ──its forwarder──▶ CC tracking address ──MX──▶ the relay
"""

import asyncio
import smtplib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest

from relay.config import check
from relay.domains.key_files import load_keys
from relay.rewrite.tokens import cc_address
from tests.ports import free_port
from tests.servers.actions import Say
from tests.servers.dns_server import DnsServer
from tests.servers.relay_app import Running, running
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink

RELAY, MAILBOX = "127.0.0.2", "127.0.0.4"

ZONE = f"""
acme.test. MX 10 mx.home.test.
own.test. MX 10 mail.relay.test.
nowhere.test. TXT "no mail"
lost.test. MX 10 mx.home.test.
reply.acme.test. MX 10 mail.relay.test.
reply.lost.test. MX 10 mx.home.test.
bare.test. MX 10 mx.home.test.
mail.relay.test. A {RELAY}
mx.home.test. A {MAILBOX}
"""

CONFIG = """
[resolver]
nameservers = ["127.0.0.1:{names}"]
[delivery]
port = {port}
allow_networks = ["127.0.0.0/8"]
[[listener]]
name = "mx"
kind = "inbound"
address = "{relay}:{port}"
[domains."acme.test"]
reply_domain = "reply.acme.test"
[domains."own.test"]
reply_domain = "reply.acme.test"
[domains."nowhere.test"]
reply_domain = "reply.acme.test"
[domains."lost.test"]
reply_domain = "reply.lost.test"
[identities."jane@acme.test"]
[identities."john@acme.test"]
[identities."rita@own.test"]
[identities."nora@nowhere.test"]
[identities."lou@lost.test"]
[identities."bo@bare.test"]
"""

Change = Callable[[bytes], bytes]
"""Returns what a forwarder makes of a mail."""

JANE, JOHN = "jane@acme.test", "john@acme.test"


class Relay(RelayProcess):
    """A relay that delivers by MX, with a mailbox elsewhere that forwards on demand."""

    up: Running

    def __init__(self, folder: Path, names: int, mailbox: Sink) -> None:
        super().__init__(folder, mailbox.port, CONFIG.format(names=names, port=mailbox.port, relay=RELAY))
        self.mailbox = mailbox

    def _toml(self, sink_port: int, more: str) -> str:
        return super()._toml(sink_port, more).replace('[defaults]\nprovider = "sink"', "")

    def cc_address(self, identity: str) -> str:
        settings, _, _ = check(self.config, {})
        assert settings is not None
        return cc_address(load_keys(settings, lambda *_, **__: None).tokens, identity, "reply.acme.test")

    async def cc_step(self, identity: str) -> tuple[str, str, str]:
        """Run the CC step; return its state, and text and fix of its remark."""
        result = await self.up.app.inbound.verifier.run(identity, "cc")
        ((remark),) = cast("list[dict[str, str]]", result["remarks"])
        return str(result["state"]), f"{remark['status']}: {remark['text']}", remark["fix"]

    async def command(self, identity: str) -> tuple[int, str]:
        """Run the CC step by the command; return its exit code and what it wrote."""
        return await self.ran("identity", "verify", identity, "--step", "cc")

    async def forward(self, to: str, change: Change = lambda content: content) -> None:
        """Forward each mail that the mailbox gets from now on."""
        number = len(self.mailbox.messages)
        while True:
            number += 1
            mail = (await self.mailbox.received(number))[-1]
            await asyncio.to_thread(self._send, mail.reverse_path, to, change(mail.content))

    def _send(self, reverse_path: str, to: str, content: bytes) -> None:
        with smtplib.SMTP(RELAY, self.mailbox.port, local_hostname="mx.home.test", timeout=20) as client:
            client.sendmail(reverse_path, [to], content)


@asynccontextmanager
async def forwarding(relay: Relay, to: str, change: Change = lambda content: content) -> AsyncIterator[None]:
    task = asyncio.create_task(relay.forward(to, change))
    try:
        yield
    finally:
        task.cancel()


def enclosed(content: bytes) -> bytes:
    """Return a mail that encloses another one, as some mail programs forward."""
    return (
        b"From: Jane <jane@acme.test>\r\nSubject: Fwd: Test\r\n"
        b"MIME-Version: 1.0\r\nContent-Type: message/rfc822\r\n\r\n" + content
    )


def quoted(content: bytes) -> bytes:
    """Return a mail that quotes only the text of another one."""
    text = content.partition(b"\r\n\r\n")[2]
    return b"From: Jane <jane@acme.test>\r\nSubject: Fwd: Test\r\n\r\n> " + text.replace(b"\r\n", b"\r\n> ")


@pytest.fixture
async def relay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Relay]:
    monkeypatch.setattr("relay.verification.cc_forwarding.FORWARDING", 0.3)
    port = free_port()
    async with DnsServer(ZONE) as names, Sink(address=MAILBOX, port=port, name="mx.home.test") as mailbox:
        relay = Relay(tmp_path, names.port, mailbox)
        async with running(relay) as relay.up:
            yield relay


async def test_the_owner_of_a_mailbox_without_forwarder_reads_what_to_set(relay: Relay) -> None:
    fix = (
        f"in the mailbox of {JANE}, at mx.home.test, forward all mail to {relay.cc_address(JANE)} and keep a copy there"
    )
    code, text = await relay.command(JANE)
    assert code == 1
    assert f"! no copy came within 0.3 s, though the mail was taken for <{JANE}> by mx.home.test" in text
    assert f"→ {fix}\n" in text
    assert text.endswith("CC tracking is not set up\n")

    relay.mailbox.always("RCPT", Say("550 5.1.1 no such user"))
    state, text, wanted = await relay.cc_step(JANE)
    assert (state, wanted) == ("failed", fix)
    refused = f"warning: the mail to {JANE} did not arrive: refused for <{JANE}>: 550 5.1.1 no such user"
    assert text.startswith(refused)


async def test_a_forwarder_passes_in_whatever_way_it_forwards(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.verification.cc_forwarding.FORWARDING", 60)
    where = relay.cc_address(JANE)
    came = f"a mail to {JANE} came back by its CC tracking address {where}"
    for change in (enclosed, quoted):
        async with forwarding(relay, where, change):
            assert await relay.cc_step(JANE) == ("passed", f"ok: {came}", "")
    async with forwarding(relay, where):
        code, text = await relay.command(JANE)
        assert (code, f"✓ {came}\n" in text, "CC tracking verified, " in text) == (0, True, True), text

    (shown,) = [one for one in await relay.json("identity", "list") if one["address"] == JANE]
    assert [(one["step"], one["state"]) for one in shown["steps"]] == [("cc", "passed")]
    assert not shown["verified"], "it shows that mail comes back, not who owns the address"
    assert await relay.json("report", "untied") == []

    async with forwarding(relay, relay.cc_address(JOHN)):
        state, text, fix = await relay.cc_step(JANE)
        assert (state, text) == ("failed", f"wrong: the mailbox forwards to the CC tracking address of {JOHN}")
        assert f"forward all mail to {where}" in fix


async def test_where_no_copy_can_come_it_says_why_and_what_to_set(relay: Relay) -> None:
    nora, settings = relay.cc_address("nora@nowhere.test"), 'and add a [[listener]] of kind "inbound"'
    for identity, state, text, fix in (
        ("rita@own.test", "passed", "ok: mail to rita@own.test comes to this relay, the MX of own.test: it needs", ""),
        (
            "nora@nowhere.test",
            "failed",
            "warning: no mail reaches nora@nowhere.test: nowhere.test has neither MX nor address records",
            f"in the mailbox that gets its answers, forward all mail to {nora} and keep a copy there",
        ),
        (
            "lou@lost.test",
            "failed",
            "wrong: mail to the CC tracking address at reply.lost.test does not come here: its MX is mx.home.test",
            "publish MX 10 relay.test for reply.lost.test",
        ),
        (
            "bo@bare.test",
            "failed",
            "warning: bo@bare.test has no CC tracking address",
            f'set reply_domain under [domains."bare.test"] {settings}',
        ),
        (
            "u@acme.test",
            "failed",
            "warning: u@acme.test is not listed, so it has no CC",
            "relay identity add u@acme.test",
        ),
    ):
        found = await relay.cc_step(identity)
        assert (found[0], found[2]) == (state, fix)
        assert found[1].startswith(text)
    assert relay.mailbox.messages == []
