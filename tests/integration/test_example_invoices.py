"""The example in examples/invoices, against a running relay: by webhooks and by the feed."""

import asyncio
import re
import smtplib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import aiohttp
import pytest

from relay.config.credentials import new_key
from relay.config.secret_hash import hash_secret
from tests.ports import free_port
from tests.servers.asgi_server import serving
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Say, Sink
from tests.servers.waiting import until
from tests.servers.webhook_harness import SECRET

FOLDER = Path(__file__).parents[2] / "examples" / "invoices"

KEY = new_key("shop", b"r" * 32)


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    """The modules of the example, as Python finds them in its folder."""
    from importlib import import_module

    monkeypatch.syspath_prepend(str(FOLDER))
    found = {name: import_module(name) for name in ("invoices", "app", "pull")}
    yield found
    for name in found:
        sys.modules.pop(name, None)


def send(port: int, number: int) -> None:
    mail = (
        f"From: billing@acme.test\r\nSubject: Invoice {number}\r\nX-Relay-Meta-Invoice: {number}\r\n"
        "MIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n<html><body><p>Invoice</p></body></html>\r\n"
    )
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        client.sendmail("billing@acme.test", [f"customer{number}@rcpt.test"], mail)


async def open_mail(content: bytes) -> None:
    """Load the pixel, as the reader of a mail does."""
    (pixel,) = re.findall(rb'src="(http://127[^"]+)"', content)
    reader = aiohttp.ClientSession(headers={"User-Agent": "Mozilla/5.0 (X11)"})
    async with reader as client, client.get(pixel.decode()) as answer:
        assert answer.status == 200


async def test_invoices_are_marked_by_webhooks_and_by_the_feed(tmp_path: Path, example: dict[str, Any]) -> None:
    by_webhook = example["invoices"].Invoices(tmp_path / "webhook.db")
    by_feed = example["invoices"].Invoices(tmp_path / "feed.db")
    api = free_port()
    async with serving(example["app"].App(by_webhook, SECRET)) as url, Sink() as sink:
        more = f"""
[[webhook]]
name = "invoices"
url = "{url}/webhooks/relay"
secret = ["{SECRET}"]
events = ["delivered", "open", "click", "bounced"]
allow_networks = ["127.0.0.1/32"]
[api]
address = "127.0.0.1:{api}"
[credentials.shop]
secret_hash = "{hash_secret(KEY, b"s" * 16)}"
scopes = ["read"]
"""
        async with RelayProcess(tmp_path, sink.port, more) as relay:
            await asyncio.to_thread(send, relay.port, 1042)
            (mail,) = await sink.received(1)
            await open_mail(mail.content)
            sink.once("RCPT", Say("550 5.1.1 No such user"))
            await asyncio.to_thread(send, relay.port, 1043)

            def is_marked() -> bool:
                return [(bool(one["opened_at"]), bool(one["bounced_at"])) for one in by_webhook.all()] == [
                    (True, False),
                    (False, True),
                ]

            await until(is_marked)
            while await asyncio.to_thread(example["pull"].pull, by_feed, f"http://127.0.0.1:{api}", KEY):
                pass
            assert by_feed.all() == by_webhook.all()
            opened, bounced = by_feed.all()
            assert opened["delivered_at"] <= opened["opened_at"]
            assert (bounced["recipient"], bounced["reason"]) == ("customer1043@rcpt.test", "No such address")

            assert not await asyncio.to_thread(example["pull"].pull, by_feed, f"http://127.0.0.1:{api}", KEY)
            assert by_feed.all() == [opened, bounced]
            async with aiohttp.ClientSession() as client:
                async with client.post(f"{url}/webhooks/relay", data=b"{}") as answer:
                    assert answer.status == 401
                async with client.get(f"{url}/invoices") as answer:
                    assert await answer.json() == by_webhook.all()
