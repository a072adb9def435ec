"""A token endpoint on loopback over TLS: it rotates refresh tokens, and ends a login when one is used twice."""

import asyncio
import json
import ssl
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import trustme
from aiohttp import web


@dataclass(frozen=True, slots=True)
class Answer:
    """What to answer in place of a token. `wait` is set to go on, None to answer at once."""

    status: int
    body: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""


class TokenEndpoint:
    """Gives "access-1", "access-2", … for `life` seconds; the form of each request is kept in `forms`.

    `next` are answers before it behaves. A client that sends a refresh token gets the next one ("refresh-2", …); the
    second use of one ends the login (RFC 9700 section 4.14.2). `gate` is cleared to let requests wait.
    """

    def __init__(self, folder: Path, life: float | str = 3600, refresh_token: str = "refresh-1") -> None:
        authority = trustme.CA()
        self.authority = folder / "token-authority.pem"
        authority.cert_pem.write_to_path(str(self.authority))
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost").configure_cert(self._tls)
        self.life = life
        self.refresh_token: str | None = refresh_token
        self.forms: list[dict[str, str]] = []
        self.next: deque[Answer] = deque()
        self.given: list[str] = []
        self.valid: set[str] | None = None
        """Tokens that are active for whoever asks (RFC 7662); None for all that were given."""
        self.reused = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.port = 0
        app = web.Application()
        app.add_routes([web.post("/token", self._token), web.post("/device", self._device)])
        app.add_routes([web.get("/introspect", self._introspect)])
        self._runner = web.AppRunner(app, access_log=None)

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}/token"

    @property
    def device_url(self) -> str:
        return f"https://localhost:{self.port}/device"

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self._tls)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.gate.set()
        await self._runner.cleanup()

    def settings(self, **more: Any) -> dict[str, Any]:
        """Return the table of an application with a secret at this endpoint."""
        return {"preset": "custom", "client_id": "app", "client_secret": "hush", "token_url": self.url, **more}

    async def _token(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.forms.append(form)
        await self.gate.wait()
        if self.next:
            answer = self.next.popleft()
            text = answer.text or json.dumps(dict(answer.body))
            return web.Response(status=answer.status, text=text, content_type="application/json")
        if form["grant_type"] == "refresh_token" and form["refresh_token"] != self.refresh_token:
            self.refresh_token, self.reused = None, self.reused + 1
            return web.json_response({"error": "invalid_grant", "error_description": "used before"}, status=400)

        self.given.append(f"access-{len(self.given) + 1}")
        body = {"access_token": self.given[-1], "token_type": "Bearer", "expires_in": self.life}
        if form["grant_type"] not in ("client_credentials",):
            number = int((self.refresh_token or "refresh-0").rpartition("-")[2]) + 1
            self.refresh_token = f"refresh-{number}"
            body["refresh_token"] = self.refresh_token
        return web.json_response(body)

    async def _introspect(self, request: web.Request) -> web.Response:
        known = self.given if self.valid is None else self.valid
        return web.json_response({"active": request.query["token"] in known, "email": "bounces@acme.test"})

    async def _device(self, request: web.Request) -> web.Response:
        self.forms.append({name: str(value) for name, value in (await request.post()).items()})
        return web.json_response(
            {
                "user_code": "WDJB-MJHT",
                "verification_uri": "https://login.test/device",
                "device_code": "device-secret",
                "interval": 0,
                "expires_in": 900,
            }
        )
