"""Replies end to end: a relay, a name server, and two mail hosts on loopback addresses of their own.

app ──▶ relay ──MX──▶ rcpt.test (Ben) ──reply──▶ reply.acme.test = the relay ──MX──▶ acme.test (the owner)
"""

import asyncio
import re
import smtplib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any, Self

import pytest

from relay.config import check
from relay.domains.key_files import load_keys
from relay.mailauth.dkim_keys import SigningKey, generate_key, load_key
from relay.mailauth.dkim_sign import sign
from relay.rewrite.tokens import cc_address
from tests.dkim_verifiers import dkimpy
from tests.integration.mail_helpers import story
from tests.ports import free_port
from tests.servers.actions import Received, Say
from tests.servers.dns_server import DnsServer
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink

RELAY, BEN, OWNER = "127.0.0.2", "127.0.0.3", "127.0.0.4"

ZONE = f"""
reply.acme.test. MX 10 mail.relay.test.
bounces.acme.test. MX 10 mail.relay.test.
mail.relay.test. A {RELAY}
rcpt.test. MX 10 mx.rcpt.test.
rcpt.test. TXT "v=spf1 ip4:127.0.0.0/8 -all"
mx.rcpt.test. A {BEN}
acme.test. MX 10 mx.acme.test.
mx.acme.test. A {OWNER}
"""

MAIL = (
    b"From: Acme News <news@acme.test>\r\nTo: ben@rcpt.test\r\nSubject: Offer\r\nMessage-ID: <offer@acme.test>\r\n"
    b"Content-Type: text/html\r\n\r\n<html><body><a href='https://shop.test/'>Buy</a></body></html>\r\n"
)

VACATION = b"From: ben@rcpt.test\r\nSubject: Away\r\nAuto-Submitted: auto-replied\r\nMessage-ID: <v@x>\r\n\r\nAway.\r\n"


class Relay(RelayProcess):
    """A relay that delivers by MX and takes replies at an address of its own."""

    def __init__(self, folder: Path, names: int, mail_port: int, identity: str = "") -> None:
        self.mail_port = mail_port
        super().__init__(
            folder,
            mail_port,
            f"""
[resolver]
nameservers = ["127.0.0.1:{names}"]
[delivery]
port = {mail_port}
allow_networks = ["127.0.0.0/8"]
[[listener]]
name = "mx"
kind = "inbound"
address = "{RELAY}:{mail_port}"
[domains."acme.test"]
reply_domain = "reply.acme.test"
return_path = "bounces.acme.test"
[identities."news@acme.test"]
reply_tracking = true
forward_to = ["owner@acme.test"]
{identity}
""",
        )

    def _toml(self, sink_port: int, more: str) -> str:
        return super()._toml(sink_port, more).replace('[defaults]\nprovider = "sink"', "")

    async def send(self, *recipients: str, content: bytes = MAIL) -> str:
        """Hand a mail in, and return its queue id."""
        return (await asyncio.to_thread(_submit, self.port, recipients or ("ben@rcpt.test",), content)).split()[-1]

    async def give(self, to: str, content: bytes, reverse_path: str = "ben@rcpt.test") -> tuple[int, str]:
        """Have another mail host bring a mail; return the last reply."""
        return await asyncio.to_thread(_bring, self.mail_port, reverse_path, to, content)

    async def events(self, key: str, *kinds: str) -> list[dict[str, Any]]:
        """Return the events of these kinds of a message, once there is one."""
        return [event for event in (await story(self, key, *kinds))["events"] if event["event"] in kinds]


class World:
    """Everything, on loopback."""

    def __init__(self, folder: Path, identity: str = "") -> None:
        self._folder = folder
        self._identity = identity
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        port = free_port()
        names = await self._stack.enter_async_context(DnsServer(ZONE))
        self.ben = await self._stack.enter_async_context(Sink(address=BEN, port=port, name="mx.rcpt.test"))
        self.owner = await self._stack.enter_async_context(Sink(address=OWNER, port=port, name="mx.acme.test"))
        self.relay = await self._stack.enter_async_context(Relay(self._folder, names.port, port, self._identity))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def sent(self) -> tuple[str, Received, str]:
        """Send the offer; return its queue id, what Ben got, and the reply address in it."""
        queue_id = await self.relay.send()
        (got,) = await self.ben.received(1)
        found = re.search(rb"\r\nReply-To: Acme News\s+<(\w+@reply\.acme\.test)>\r\n", got.content)
        assert found is not None
        return queue_id, got, found[1].decode()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with World(tmp_path) as found:
        yield found


@pytest.fixture(scope="module")
def ben_key() -> SigningKey:
    return load_key(generate_key("rsa-sha256"), "rcpt.test", "b1")


def reply_of_ben(key: SigningKey, to: str, text: str = "Thanks, I take two.") -> bytes:
    """A reply as a mail program writes it, signed by its host."""
    content = (
        f"From: Ben <ben@rcpt.test>\r\nTo: Acme News <{to}>\r\nSubject: Re: Offer\r\nMessage-ID: <re@rcpt.test>\r\n"
        f"In-Reply-To: <offer@acme.test>\r\nX-Relay-Tag: not ours\r\n\r\n{text}\r\n> Buy\r\n> Unsubscribe\r\n"
    ).encode()
    return sign(content, (key,), 1_700_000_000) + content


async def test_a_reply_is_forwarded_once_with_its_signature_intact(world: World, ben_key: SigningKey) -> None:
    queue_id, _, address = await world.sent()
    reply = reply_of_ben(ben_key, address)
    assert await world.relay.give(address, reply) == (
        250,
        f"2.0.0 Ok: queued as {world.relay.log('message.created')[-1]['queue_id']}",
    )
    assert (await world.relay.give(address, reply))[0] == 250
    (event,) = await world.relay.events(queue_id, "reply")
    assert (event["recipient"], event["subject"], "automatic" in event) == ("ben@rcpt.test", "Re: Offer", False)
    (home,) = await world.owner.received(1)
    assert home.recipients == ["owner@acme.test"]
    assert home.content.endswith(reply)
    added = home.content.removesuffix(reply)
    assert re.fullmatch(rb"Received: from (?:.|\r\n\t)*\r\nRelay-Loop: [0-9a-f]{24}\r\n", added)
    assert dkimpy(home.content, [ben_key]) == [True]
    assert re.fullmatch(r"SRS0=\w{8}=\w\w=rcpt\.test=ben@bounces\.acme\.test", home.reverse_path)
    await asyncio.sleep(0.3)
    assert len(world.owner.messages) == 1


async def test_after_250_a_crash_loses_neither_event_nor_forward(world: World, ben_key: SigningKey) -> None:
    queue_id, _, address = await world.sent()
    world.owner.always("RCPT", Say("450 4.2.1 busy"))
    reply = reply_of_ben(ben_key, address)
    assert (await world.relay.give(address, reply))[0] == 250
    await world.relay.kill()
    world.owner.behave()
    await world.relay.start()
    assert (await world.relay.give(address, reply))[0] == 250
    (home,) = await world.owner.received(1)
    assert home.content.endswith(reply)
    assert len(await world.relay.events(queue_id, "reply")) == 1
    await asyncio.sleep(0.3)
    assert len(world.owner.messages) == 1


async def test_a_loop_is_stopped(world: World, ben_key: SigningKey) -> None:
    _, _, address = await world.sent()
    await world.relay.give(address, reply_of_ben(ben_key, address))
    (home,) = await world.owner.received(1)
    code, text = await world.relay.give(address, home.content, home.reverse_path)
    assert (code, text.split()[0]) == (554, "5.4.6")
    assert "loop" in text
    assert len(world.owner.messages) == 1


async def test_bounces_of_a_forward_go_back_to_who_replied(world: World, ben_key: SigningKey) -> None:
    _, _, address = await world.sent()
    await world.relay.give(address, reply_of_ben(ben_key, address))
    (home,) = await world.owner.received(1)
    bounce = (
        b"From: MAILER-DAEMON@mx.acme.test\r\nSubject: Undelivered Mail Returned to Sender\r\nMessage-ID: <b@a>\r\n\r\n"
        b"<owner@acme.test>: mailbox full\r\n"
    )
    assert (await world.relay.give(home.reverse_path, b"Subject: hi\r\n\r\n", "eve@evil.test"))[0] == 550
    forged = home.reverse_path.replace("=ben@", "=eve@")
    assert (await world.relay.give(forged, bounce, ""))[0] == 550
    assert (await world.relay.give(home.reverse_path, bounce, ""))[0] == 250
    _, back = await world.ben.received(2)
    assert (back.reverse_path, back.recipients) == ("", ["ben@rcpt.test"])
    assert back.content.endswith(bounce)


async def test_a_refused_forward_is_reported_to_its_sender(world: World, ben_key: SigningKey) -> None:
    _, _, address = await world.sent()
    world.owner.always("RCPT", Say("550 5.1.1 no such user"))
    await world.relay.give(address, reply_of_ben(ben_key, address))
    _, notice = await world.ben.received(2)
    assert (notice.reverse_path, notice.recipients) == ("", ["ben@rcpt.test"])
    assert message_from_bytes(notice.content, policy=policy.default).get_content_type() == "multipart/report"
    assert b"no such user" in notice.content


async def test_robots_stay_here_and_the_unsubscribe_button_works(world: World) -> None:
    queue_id, _, address = await world.sent()
    assert (await world.relay.give(address, VACATION, ""))[0] == 250
    button = b"From: ben@rcpt.test\r\nSubject: unsubscribe\r\nMessage-ID: <u@x>\r\n\r\n"
    assert (await world.relay.give(address, button))[0] == 250
    robot, left = await world.relay.events(queue_id, "reply", "unsubscribe")
    assert robot["automatic"] is True
    assert (left["event"], left["recipient"], left["by"]) == ("unsubscribe", "ben@rcpt.test", "reply")
    assert [one["address"] for one in await world.relay.json("unsubscribe", "list")] == ["ben@rcpt.test"]
    assert world.owner.messages == []
    assert await world.relay.json("queue", "list") == []


async def test_the_cc_tracking_address_sees_what_the_mailbox_forwards(world: World, ben_key: SigningKey) -> None:
    queue_id, _, address = await world.sent()
    settings, _, _ = check(world.relay.config, {})
    assert settings is not None
    cc = cc_address(load_keys(settings, lambda *_, **__: None).tokens, "news@acme.test", "reply.acme.test")
    reply = reply_of_ben(ben_key, "news@acme.test")
    assert (await world.relay.give(cc, reply, "news@acme.test"))[0] == 250
    (event,) = await world.relay.events(queue_id, "reply")
    assert (event["recipient"], event["message_id"]) == ("ben@rcpt.test", "<re@rcpt.test>")
    assert world.owner.messages == []
    await world.relay.give(address, reply_of_ben(ben_key, address, "Another").replace(b"<re@", b"<re2@"))
    assert len(await world.owner.received(1)) == 1


async def test_a_copy_is_untracked_one_a_message_and_outside_the_limits(tmp_path: Path) -> None:
    async with World(tmp_path, 'bcc = ["archive@acme.test"]\nhourly_limit = 2\ndaily_limit = 2') as world:
        queue_id = await world.relay.send("ben@rcpt.test", "ada@rcpt.test")
        (copy,) = await world.owner.received(1)
        for got in await world.ben.received(2):
            assert re.search(rb"[:.]\w+/o/", got.content)
            assert b"archive" not in got.content
        assert copy.recipients == ["archive@acme.test"]
        assert copy.content.endswith(MAIL)
        assert b"Reply-To" not in copy.content
        created = await world.relay.events(queue_id, "created")
        assert ["copy" in one for one in created] == [False, False, True]
        (usage,) = await world.relay.json("identity", "list")
        assert (usage["address"], usage["used_day"]) == ("news@acme.test", 2)


async def test_the_failure_of_a_copy_notifies_nobody(tmp_path: Path) -> None:
    async with World(tmp_path, 'bcc = ["archive@acme.test"]') as world:
        world.owner.once("RCPT", Say("550 5.1.1 no such user"))
        queue_id = await world.relay.send()
        (bounced,) = await world.relay.events(queue_id, "bounced")
        assert bounced["recipient"] == "archive@acme.test"
        await world.relay.events(queue_id, "delivered")
        assert await world.relay.json("queue", "list") == []
        assert world.owner.messages == []


def _submit(port: int, recipients: tuple[str, ...], content: bytes) -> str:
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        client.ehlo()
        client.mail("news@acme.test")
        for recipient in recipients:
            client.rcpt(recipient)
        code, text = client.data(content)
        assert code == 250, text
        return text.decode()


def _bring(port: int, reverse_path: str, to: str, content: bytes) -> tuple[int, str]:
    with smtplib.SMTP(RELAY, port, local_hostname="mx.rcpt.test", timeout=20) as client:
        client.ehlo()
        client.mail(reverse_path)
        code, text = client.rcpt(to)
        if code == 250:
            code, text = client.data(content)
        return code, text.decode()
