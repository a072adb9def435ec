"""A relay that sends campaigns with List-Unsubscribe."""

import asyncio
import re
import smtplib
from pathlib import Path
from typing import Any

import aiohttp

from relay.domains.key_files import write_key
from relay.mailauth.dkim_keys import dns_record, generate_key, load_key
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Received, Sink
from tests.servers.waiting import until

DOMAIN = """
[domains."acme.test"]
dkim = { selectors = ["s1"] }
tracking = { base_url = "https://t.acme.test" }
exclusion = "%s"
"""

ONE_CLICK = {"List-Unsubscribe": "One-Click"}


class Relay(RelayProcess):
    """A relay that signs, sends campaigns, and answers readers."""

    def __init__(self, folder: Path, sink: Sink, exclusion: str = "campaign") -> None:
        super().__init__(folder, sink.port, DOMAIN % exclusion)
        self.sink = sink
        pem = generate_key("ed25519-sha256")
        (folder / "data").mkdir()
        write_key(folder / "data", "acme.test", "s1", pem)
        self.dns_record = dns_record(load_key(pem, "acme.test", "s1")).encode()

    async def send(
        self,
        campaign: str = "",
        to: str = "u@rcpt.test",
        at: str = "",
        sender: str = "news@acme.test",
        body: bytes = b"\r\nHello\r\n",
    ) -> str:
        """Send a mail and return its queue id."""
        marked = f"X-Relay-Campaign: {campaign}\r\n" if campaign else ""
        marked += f"X-Relay-Send-At: {at}\r\n" if at else ""
        mail = f"From: Acme <{sender}>\r\nTo: {to}\r\nSubject: hello\r\n{marked}".encode()
        return await asyncio.to_thread(self._transaction, to, mail + body)

    def _transaction(self, to: str, mail: bytes) -> str:
        with smtplib.SMTP("127.0.0.1", self.port, timeout=20) as client:
            client.ehlo()
            client.mail("news@acme.test")
            client.rcpt(to)
            code, text = client.data(mail)
            assert code == 250, text
            return text.decode().rsplit(" ", 1)[1]

    async def fate(self, queue_id: str, status: str) -> dict[str, Any]:
        """Return the first recipient of a message, once it has that status."""

        async def recipient() -> dict[str, Any]:
            (story,) = await self.json("trace", queue_id)
            first: dict[str, Any] = story["recipients"][0]
            return first if first["status"] == status else {}

        return await until(recipient)

    async def click(
        self, got: Received, link: bytes = rb"List-Unsubscribe: <https://t\.acme\.test(/u/[\w-]+)>"
    ) -> None:
        """Press the mail program's button: what RFC 8058 has it send, to the path the header or a link names."""
        match = re.search(link, got.content)
        assert match is not None
        url = f"http://127.0.0.1:{self.tracker_port}{match[1].decode()}"
        async with aiohttp.ClientSession() as client:
            async with client.get(url) as answer:
                assert answer.status == 200
            async with client.post(url, data=ONE_CLICK) as answer:
                assert (answer.status, await answer.text()) == (200, "Unsubscribed.\n")

    async def listed(self, count: int) -> list[dict[str, Any]]:
        """Return the unsubscribe list, once it has so many."""

        async def entries() -> list[dict[str, Any]]:
            found = await self.json("unsubscribe", "list")
            return found if len(found) >= count else []

        return await until(entries)
