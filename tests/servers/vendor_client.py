"""A client of the forms of mail services, for requests that their own libraries do not make."""

import email
import email.policy
import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any

import aiohttp
from yarl import URL


@dataclass(frozen=True, slots=True)
class VendorAnswer:
    """An answer."""

    status: int
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass(frozen=True, slots=True)
class VendorClient:
    """Sends requests with HTTP Basic, as the user "api"."""

    port: int
    key: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def form(
        self,
        path: str,
        values: Mapping[str, str | Sequence[str]],
        files: Sequence[tuple[str, str, str, bytes]] = (),
        key: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> VendorAnswer:
        """Post a form. A file has field, name, type and content."""
        body = aiohttp.FormData(quote_fields=False, default_to_multipart=True)
        for name, given in values.items():
            for one in [given] if isinstance(given, str) else given:
                body.add_field(name, one)
        for field, name, kind, content in files:
            body.add_field(field, content, filename=name, content_type=kind)
        return await self.request("POST", path, body, key, headers)

    async def request(
        self, method: str, path: str, body: Any = None, key: str = "", headers: Mapping[str, str] | None = None
    ) -> VendorAnswer:
        """Send a request, to the path as it is written. A list or an object is sent as JSON."""
        login = b64encode(f"api:{key or self.key}".encode()).decode()
        sent = {"Authorization": f"Basic {login}", "X-Postmark-Server-Token": key or self.key, **(headers or {})}
        if isinstance(body, list | dict):
            body, sent["Content-Type"] = json.dumps(body), "application/json"
        url = URL(self.url + path, encoded=True)
        async with aiohttp.ClientSession() as client, client.request(method, url, data=body, headers=sent) as answer:
            return VendorAnswer(answer.status, await answer.text())


def leaves(content: bytes) -> list[EmailMessage]:
    """Return the parts of a mail that have no parts."""
    whole = email.message_from_bytes(content, policy=email.policy.default)
    return [one for one in whole.walk() if not one.is_multipart() and isinstance(one, EmailMessage)]
