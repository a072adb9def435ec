"""Logins of a person: with a code (RFC 8628), and on a page of the browser with PKCE (RFC 8252, RFC 7636)."""

import json
from base64 import urlsafe_b64encode
from collections import deque
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from relay.oauth.login import BrowserLogin, DeviceCode, request_device_code, wait_for_device
from relay.oauth.token_requests import Form
from relay.oauth.token_responses import Grant, Refusal, parse_answer
from tests.unit.oauth_parts import USER, Moments, account_of

CODE = DeviceCode("WDJB", "https://login.test/device", "device-secret", 5.0, 900.0)

TOKEN = (200, {"access_token": "a", "refresh_token": "r", "expires_in": 3600})

GOOGLE = account_of({"preset": "google", "flow": "user", "client_id": "app", "client_secret": "s"})


class Server:
    """Answers one after the other; the time of the clock runs while the client pauses."""

    def __init__(self, *answers: tuple[int, Any]) -> None:
        self.answers = deque(answers)
        self.forms: list[Form] = []
        self.clock = Moments(0.0)
        self.pauses: list[float] = []

    async def post(self, _: str, form: Form) -> tuple[int, bytes]:
        self.forms.append(form)
        status, body = self.answers.popleft() if len(self.answers) > 1 else self.answers[0]
        return status, json.dumps(body).encode()

    async def ask(self, url: str, form: Form) -> Grant | Refusal:
        return parse_answer(*await self.post(url, form))

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.clock.now += seconds

    async def wait(self) -> Grant | Refusal:
        parts: dict[str, Any] = {"clock": self.clock, "unique": lambda: "once", "ask": self.ask, "pause": self.pause}
        return await wait_for_device(account_of(USER), CODE, **parts)


async def test_a_code_is_asked_for_and_both_spellings_of_its_page_are_read() -> None:
    for name in ("verification_uri", "verification_url"):
        body = {"user_code": "WDJB", name: CODE.page, "device_code": "device-secret", "interval": 5, "expires_in": 900}
        assert await request_device_code(account_of(USER), Server((200, body)).post) == CODE


@pytest.mark.parametrize(
    "body", [{}, [], "text", {"user_code": "x"}, {"user_code": 1, "device_code": 2, "interval": "soon"}]
)
async def test_an_answer_without_a_code_is_a_refusal(body: Any) -> None:
    assert isinstance(await request_device_code(account_of(USER), Server((200, body)).post), Refusal)


async def test_the_client_waits_as_the_endpoint_asks() -> None:
    server = Server((400, {"error": "authorization_pending"}), (400, {"error": "slow_down"}), (503, {}), TOKEN)
    assert await server.wait() == Grant("a", 3600.0, "r")
    assert server.pauses == [5.0, 5.0, 10.0, 10.0]
    assert server.forms[0]["device_code"] == "device-secret"


@pytest.mark.parametrize("error", ["access_denied", "expired_token", "invalid_client"])
async def test_a_final_error_ends_the_wait(error: str) -> None:
    found = await Server((400, {"error": error})).wait()
    assert isinstance(found, Refusal)
    assert found.error == error


async def test_a_code_that_nobody_types_in_expires() -> None:
    server = Server((400, {"error": "authorization_pending"}))
    assert await server.wait() == Refusal("expired_token")
    assert server.clock.now == CODE.life


def _login() -> BrowserLogin:
    return BrowserLogin(GOOGLE, "http://127.0.0.1:5000/", "state", "verifier")


def test_the_page_of_google_gives_a_refresh_token_for_this_client_only() -> None:
    parts = urlsplit(_login().page)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    assert (parts.netloc, parts.path) == ("accounts.google.com", "/o/oauth2/v2/auth")
    challenge = urlsafe_b64encode(sha256(b"verifier").digest()).rstrip(b"=").decode()
    assert query == {
        "client_id": "app",
        "response_type": "code",
        "redirect_uri": "http://127.0.0.1:5000/",
        "scope": "https://mail.google.com/",
        "state": "state",
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        "login_hint": "billing@acme.test",
        "access_type": "offline",
        "prompt": "consent",
    }


@pytest.mark.parametrize(
    ("address", "error"),
    [
        ("http://127.0.0.1:5000/?code=c&state=other", "the address is not of this login"),
        ("http://127.0.0.1:5000/?code=c", "the address is not of this login"),
        ("http://127.0.0.1:5000/?state=state&error=access_denied", "access_denied"),
        ("http://127.0.0.1:5000/?state=state", "the address has no code"),
        ("", "the address is not of this login"),
    ],
)
def test_an_address_of_another_login_or_without_a_code_is_refused(address: str, error: str) -> None:
    found = _login().code_in(address)
    assert isinstance(found, Refusal)
    assert found.error == error


async def test_the_code_is_exchanged_with_the_verifier() -> None:
    login, server = _login(), Server(TOKEN)
    code = login.code_in(" http://127.0.0.1:5000/?state=state&code=4%2Fabc \n")
    assert code == "4/abc"
    assert await login.finish(code, 0.0, "once", server.ask) == Grant("a", 3600.0, "r")
    assert server.forms == [
        {
            "grant_type": "authorization_code",
            "code": "4/abc",
            "code_verifier": "verifier",
            "redirect_uri": "http://127.0.0.1:5000/",
            "client_id": "app",
            "client_secret": "s",
        }
    ]
    assert "verifier" not in repr(login)
