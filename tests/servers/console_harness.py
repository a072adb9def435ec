"""A relay with a console on loopback, and mail for it to show."""

import asyncio
import re
import smtplib
from collections.abc import Mapping
from pathlib import Path

import aiohttp

from tests.ports import free_port
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink
from tests.servers.waiting import PATIENCE, until


class ConsoleRelay(RelayProcess):
    """A relay with a console, protected by a secret or open to this machine.

    Mail that was deferred keeps its state: during a second attempt it would not be among what waits.
    """

    retry = "1h"

    def __init__(self, folder: Path, sink: Sink, secret: str = "", more: str = "") -> None:
        self.board = free_port()
        admin = f'[admin]\naddress = "127.0.0.1:{self.board}"\nsecret = "{secret}"\n'
        super().__init__(folder, sink.port, admin + more)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.board}"

    async def shows(self, path: str, pattern: str) -> str:
        """Return the page at this path once it has the pattern."""
        async with aiohttp.ClientSession(self.url) as client, asyncio.timeout(PATIENCE):
            while True:
                async with client.get(path) as answer:
                    page = await answer.text()
                if re.search(pattern, page):
                    return page
                await asyncio.sleep(0.2)

    async def send(
        self,
        to: str,
        subject: str = "hello",
        message_id: str = "<1@acme.test>",
        fields: Mapping[str, str] | None = None,
        body: str = "Hello\r\n",
        sender: str = "news@acme.test",
    ) -> str:
        """Send a mail, wait until it was tried, and return its queue id."""
        more = "".join(f"{name}: {value}\r\n" for name, value in (fields or {}).items())
        mail = f"From: {sender}\r\nSubject: {subject}\r\nMessage-ID: {message_id}\r\n{more}\r\n{body}"
        queue_id = await asyncio.to_thread(self._transaction, to, mail.encode(), sender)

        async def was_tried() -> bool:
            return bool((await self.json("trace", queue_id))[0]["recipients"][0]["attempts"])

        await until(was_tried)
        return queue_id

    def _transaction(self, to: str, mail: bytes, sender: str = "news@acme.test") -> str:
        with smtplib.SMTP("127.0.0.1", self.port, timeout=20) as client:
            client.ehlo()
            client.mail(sender)
            client.rcpt(to)
            code, text = client.data(mail)
            assert code == 250, text
            return text.decode().rsplit(" ", 1)[1]
