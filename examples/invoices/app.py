"""An ASGI application that receives the webhooks of relay, and shows the invoices.

    RELAY_WEBHOOK_SECRET=whsec_… uvicorn app:app --port 8080

POST /webhooks/relay takes events, GET /invoices lists the invoices.
"""

import base64
import hmac
import json
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from invoices import Invoices

TOLERANCE = 300
"""Seconds by which the time of a post may differ: an old one may be a recording."""

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]


def is_genuine(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> bool:
    """Verify a post as Standard Webhooks says. Their libraries do the same."""
    post_id, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not at.isdigit() or abs(now - int(at)) > TOLERANCE:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, f"{post_id}.{at}.".encode() + body, "sha256")
    expected = f"v1,{base64.b64encode(digest).decode()}"
    return any(hmac.compare_digest(expected, one) for one in headers.get("webhook-signature", "").split())


class App:
    """The application over one file of invoices."""

    def __init__(self, invoices: Invoices, secret: str) -> None:
        self.invoices = invoices
        self._secret = secret

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        match scope["method"], scope["path"]:
            case "POST", "/webhooks/relay":
                headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
                status, answer = self._take(headers, await _body(receive))
            case "GET", "/invoices":
                status, answer = 200, self.invoices.all()
            case _:
                status, answer = 404, "there are POST /webhooks/relay and GET /invoices"
        await _send(send, status, answer)

    def _take(self, headers: Mapping[str, str], body: bytes) -> tuple[int, Any]:
        """Apply a post. 401 makes relay keep the events until the secret is right."""
        if not is_genuine(self._secret, headers, body, time.time()):
            return 401, "the signature is wrong"
        return 200, {"new": self.invoices.apply([json.loads(body)])}


async def _body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def _send(send: Send, status: int, answer: Any) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


if "RELAY_WEBHOOK_SECRET" in os.environ:
    app = App(Invoices(Path("invoices.db")), os.environ["RELAY_WEBHOOK_SECRET"])
