"""Logins of a person, for `relay oauth login`: with a code typed in elsewhere, or on a page of the browser."""

import asyncio
import json
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from relay.clock import Clock
from relay.oauth.account import Account
from relay.oauth.ports import RequestToken
from relay.oauth.token_endpoint import post_form, request_token
from relay.oauth.token_requests import Form, code_request, device_code_request, device_token_request
from relay.oauth.token_responses import Grant, Refusal, parse_answer, unreachable

Post = Callable[[str, Form], Awaitable[tuple[int, bytes]]]

_DEFAULT_INTERVAL = 5.0
"""Seconds between two questions, unless the endpoint says otherwise (RFC 8628 section 3.2)."""

_SLOWER = 5.0
"""Seconds by which questions become rarer when the endpoint asks for it (RFC 8628 section 3.5)."""

_DEFAULT_LIFE = 900.0
"""Seconds for which a code can be typed in, unless the endpoint says otherwise."""


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """A code that a person types in on a page. `interval` and `life` are in seconds."""

    user_code: str
    page: str
    device_code: str = field(repr=False)
    interval: float
    life: float


async def request_device_code(account: Account, post: Post = post_form) -> DeviceCode | Refusal:
    """Ask for a code to be typed in (RFC 8628 section 3.1)."""
    status, body = await post(*device_code_request(account))
    if not status:
        return unreachable(body.decode("utf-8", "replace"))
    try:
        values: Any = json.loads(body)
        page = values.get("verification_uri") or values["verification_url"]
        texts = (str(values["user_code"]), str(page), str(values["device_code"]))
        numbers = (float(values.get("interval", _DEFAULT_INTERVAL)), float(values.get("expires_in", _DEFAULT_LIFE)))
    except (ValueError, OverflowError, KeyError, TypeError, AttributeError):
        answer = parse_answer(status, body)
        return answer if isinstance(answer, Refusal) else Refusal("the answer has no code")
    return DeviceCode(*texts, *numbers)


async def wait_for_device(
    account: Account,
    code: DeviceCode,
    *,
    clock: Clock,
    unique: Callable[[], str],
    ask: RequestToken = request_token,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Grant | Refusal:
    """Ask until the code was typed in, declined, or has expired (RFC 8628 section 3.4)."""
    interval, end = code.interval, clock() + code.life
    while clock() < end:
        await pause(interval)
        answer = await ask(*device_token_request(account, code.device_code, clock(), unique()))
        if isinstance(answer, Grant):
            return answer
        if answer.error == "slow_down":
            interval += _SLOWER
        elif answer.is_final and answer.error != "authorization_pending":
            return answer
    return Refusal("expired_token")


@dataclass(frozen=True, slots=True)
class BrowserLogin:
    """A login on a page of the browser (RFC 8252, with PKCE of RFC 7636). `redirect` is on loopback."""

    account: Account
    redirect: str
    state: str
    verifier: str = field(repr=False)

    @property
    def page(self) -> str:
        """The address of the page."""
        challenge = urlsafe_b64encode(sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "client_id": self.account.oauth.client_id,
            "response_type": "code",
            "redirect_uri": self.redirect,
            "scope": self.account.scope,
            "state": self.state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "login_hint": self.account.username,
        }
        if self.account.oauth.preset == "google":
            query |= {"access_type": "offline", "prompt": "consent"}  # Else a second login gives no refresh token.
        url = self.account.authorization_url
        return f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(query)}"

    def code_in(self, address: str) -> str | Refusal:
        """Return the code in the address that the browser was led to."""
        values = parse_qs(urlsplit(address.strip()).query)
        if values.get("state") != [self.state]:
            return Refusal("the address is not of this login")
        if error := values.get("error"):
            return Refusal(error[0], " ".join(values.get("error_description", [])))
        code = values.get("code", [""])[0]
        return code or Refusal("the address has no code")

    async def finish(self, code: str, now: float, unique: str, ask: RequestToken = request_token) -> Grant | Refusal:
        """Exchange the code for tokens."""
        return await ask(*code_request(self.account, code, self.verifier, self.redirect, now, unique))
