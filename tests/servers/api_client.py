"""A client of the HTTP API."""

import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer; `json` is None without a body in JSON."""

    status: int
    json: Any
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ApiClient:
    """Sends requests to the API at that port. `login` is NAME:SECRET, "" for none."""

    port: int
    login: str = ""

    async def request(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        login: str | None = None,
    ) -> Answer:
        """Send a request: a body of bytes as it is, any other as JSON."""
        sent = dict(headers or {})
        login = self.login if login is None else login
        if login:
            sent["Authorization"] = f"Basic {b64encode(login.encode()).decode()}"
        data = body if isinstance(body, bytes) or body is None else json.dumps(body)
        if not isinstance(body, bytes) and body is not None:
            sent.setdefault("Content-Type", "application/json")
        url = f"http://127.0.0.1:{self.port}/api/v1{path}"
        async with aiohttp.ClientSession() as client, client.request(method, url, data=data, headers=sent) as answer:
            text = await answer.text()
            found = json.loads(text) if "json" in answer.content_type else None
            return Answer(answer.status, found, answer.headers)

    async def post(self, path: str, body: object, headers: Mapping[str, str] | None = None) -> Answer:
        """Send a POST."""
        return await self.request("POST", path, body, headers)

    async def get(self, path: str) -> Answer:
        """Send a GET."""
        return await self.request("GET", path)
