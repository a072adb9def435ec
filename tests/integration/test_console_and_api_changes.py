"""A change on the console that fails at the reload harms no change of the API at the same time."""

import asyncio
import os
import tomllib
from pathlib import Path

import aiohttp

from tests.integration.test_console_tables import edited
from tests.servers.login_console import LoginRelay, person
from tests.servers.sink import Sink
from tests.servers.waiting import PATIENCE

DOMAIN = '[domains."acme.test"]\n'


async def reader_of(pipe: Path) -> int:
    """Return a pipe for writing once a program reads it."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:
                await asyncio.sleep(0.05)


async def test_a_webhook_of_the_api_waits_for_the_end_of_a_change_on_the_console(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "domain-acme.test.toml").write_text(DOMAIN)
    async with Sink() as sink, LoginRelay(tmp_path, sink) as relay, person(relay, "olga@acme.test") as olga:
        keys = tmp_path / "data" / "dkim" / "acme.test"
        keys.mkdir(parents=True, exist_ok=True)
        pipe = keys / "s1.pem"
        os.mkfifo(pipe)
        connector = aiohttp.UnixConnector(str(tmp_path / "data" / "admin.sock"))
        async with aiohttp.ClientSession("http://localhost", connector=connector) as client:

            async def webhook() -> int:
                async with client.put("/webhooks/crm", json={"url": "https://crm.example.com/x"}) as answer:
                    return answer.status

            change = asyncio.create_task(edited(olga, "/domains/acme.test/edit", **{"dkim__selectors": "s1"}))
            descriptor = await reader_of(pipe)  # The reload of the change waits for its key.
            other = asyncio.create_task(webhook())
            for _ in range(5):
                async with client.get("/webhooks") as answer:
                    assert answer.status == 200
            os.write(descriptor, b"no key")
            os.close(descriptor)
            await change
            assert (olga.status, "s1.pem" in olga.page) == (400, True), olga.page
            assert await other == 200
        assert tomllib.loads((tmp_path / "conf.d" / "domain-acme.test.toml").read_text()) == tomllib.loads(DOMAIN)
        assert (tmp_path / "conf.d" / "webhook-crm.toml").exists()
