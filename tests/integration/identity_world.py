"""A relay with identities, its zone of DNS, and the hosts that it sends to, on loopback."""

import asyncio
import smtplib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self

import pytest

from relay.config import check
from relay.domains.key_files import load_keys
from tests.ports import free_port
from tests.servers.dns_server import DnsServer, Trouble
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink

RELAY, BEN, OWNER = "127.0.0.2", "127.0.0.3", "127.0.0.4"

ZONE = f"""
acme.test. MX 10 mail.relay.test.
bounces.acme.test. MX 10 mail.relay.test.
bounces.acme.test. TXT "v=spf1 ip4:127.0.0.0/8 -all"
mail.relay.test. A {RELAY}
away.test. MX 10 mx.home.test.
away.test. MX 20 mail.relay.test.
rcpt.test. MX 10 mx.rcpt.test.
rcpt.test. TXT "v=spf1 ip4:127.0.0.0/8 -all"
mx.rcpt.test. A {BEN}
home.test. MX 10 mx.home.test.
mx.home.test. A {OWNER}
strict.test. TXT "v=spf1 -all"
_dmarc.strict.test. TXT "v=DMARC1; p=reject"
loose.test. TXT "v=spf1 -all"
_dmarc.loose.test. TXT "v=DMARC1; p=none"
"""

RITA, CARL, GUS = "rita@acme.test", "carl@acme.test", "gus@acme.test"

CONFIG = """
[server]
hostname = "relay.test"
[alerts]
mail_to = ["owner@home.test"]
[delivery]
allow_networks = ["127.0.0.0/8"]
[domains."acme.test"]
return_path = "bounces.acme.test"
reply_domain = "bounces.acme.test"
[identities."rita@acme.test"]
forward_to = ["owner@home.test"]
reply_tracking = false
[identities."carl@acme.test"]
forward_to = ["owner@home.test"]
reply_tracking = false
cc_forward = true
forward_spam = true
[identities."gus@acme.test"]
[identities."ann@away.test"]
forward_to = ["owner@home.test"]
"""


class Relay(RelayProcess):
    """A relay that delivers by MX, and is the MX of acme.test."""

    def __init__(self, folder: Path, names: int, mail_port: int, more: str) -> None:
        self.mail_port = mail_port
        listening = f"""
[resolver]
nameservers = ["127.0.0.1:{names}"]
[[listener]]
name = "mx"
kind = "inbound"
address = "{RELAY}:{mail_port}"
"""
        super().__init__(folder, mail_port, listening + more)

    def _toml(self, sink_port: int, more: str) -> str:
        whole = super()._toml(sink_port, more.replace('[server]\nhostname = "relay.test"\n', ""))
        return whole.replace('[defaults]\nprovider = "sink"', "").replace(
            "[delivery]", f"[delivery]\nport = {self.mail_port}"
        )

    async def send(self, author: str = RITA, to: str = "ben@rcpt.test", more: str = "") -> str:
        """Hand a mail in, and return its queue id."""
        content = f"From: {author}\r\nTo: {to}\r\nSubject: Offer\r\nMessage-ID: <offer@acme.test>\r\n{more}\r\nHi.\r\n"
        code, text = await asyncio.to_thread(_give, "127.0.0.1", self.port, author, to, content.encode())
        assert code == 250, text
        return text.split()[-1]

    async def give(self, to: str, content: str, reverse_path: str = "ben@rcpt.test") -> tuple[int, str]:
        """Have another mail host bring a mail; return the last reply."""
        whole = content.replace("\n", "\r\n").encode()
        return await asyncio.to_thread(_give, RELAY, self.mail_port, reverse_path, to, whole)

    async def events(self, key: str) -> list[dict[str, Any]]:
        """Return the events that answers made in the timeline of a message."""
        (story,) = await self.json("trace", key)
        return [one for one in story["events"] if one["event"] in ("reply", "unsubscribe", "bounced")]

    def keyring(self) -> Any:
        settings, _, _ = check(self.config, {})
        assert settings is not None
        return load_keys(settings, lambda *_, **__: None).tokens


class World:
    """Everything, on loopback."""

    def __init__(self, folder: Path, config: str = CONFIG, trouble: dict[str, Trouble] | None = None) -> None:
        self._folder = folder
        self._config = config
        self._trouble = trouble
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        port = free_port()
        self.names = await self._stack.enter_async_context(DnsServer(ZONE, self._trouble))
        self.ben = await self._stack.enter_async_context(Sink(address=BEN, port=port, name="mx.rcpt.test"))
        self.owner = await self._stack.enter_async_context(Sink(address=OWNER, port=port, name="mx.home.test"))
        self.relay = await self._stack.enter_async_context(Relay(self._folder, self.names.port, port, self._config))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with World(tmp_path) as found:
        yield found


def answer(text: str, *, author: str = "Ben <ben@rcpt.test>", more: str = "", name: str = "re") -> str:
    return f"From: {author}\nTo: {RITA}\nSubject: Re: Offer\nMessage-ID: <{name}@rcpt.test>\n{more}\n{text}\n"


def _give(host: str, port: int, reverse_path: str, to: str, content: bytes) -> tuple[int, str]:
    with smtplib.SMTP(host, port, local_hostname="mx.rcpt.test", timeout=20) as client:
        client.ehlo()
        client.mail(reverse_path)
        code, text = client.docmd(f"RCPT TO:<{to}>")
        if code == 250:
            code, text = client.data(content)
        return code, text.decode()
