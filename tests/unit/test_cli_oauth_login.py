"""`relay oauth login` with a page of the browser: the browser here, or elsewhere with its address copied."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from unittest.mock import patch

import aiohttp
import pytest

from relay.cli.oauth_login import log_in
from relay.oauth.account import Account
from relay.oauth.token_responses import Grant, Refusal
from tests.servers.token_endpoint import TokenEndpoint
from tests.servers.waiting import PATIENCE
from tests.unit.oauth_parts import account_of


@pytest.fixture
async def endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[TokenEndpoint]:
    async with TokenEndpoint(tmp_path) as server:
        monkeypatch.setenv("SSL_CERT_FILE", str(server.authority))
        yield server


def _account(endpoint: TokenEndpoint) -> Account:
    table = {"preset": "custom", "flow": "user", "client_id": "app", "token_url": endpoint.url}
    return account_of({**table, "authorization_url": "https://login.test/authorize?tenant=acme"})


async def _page(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """Return the redirect address and the state of the page that the command shows."""
    shown = ""
    async with asyncio.timeout(PATIENCE):
        while "state=" not in shown:
            await asyncio.sleep(0.01)
            shown += capsys.readouterr().out
    assert "https://login.test/authorize?tenant=acme&client_id=app" in shown
    port = re.search(r"redirect_uri=http%3A%2F%2F127.0.0.1%3A(\d+)%2F", shown)
    state = re.search(r"&state=([^&]+)", shown)
    assert port is not None
    assert state is not None
    return f"http://127.0.0.1:{port[1]}/", state[1]


async def test_the_browser_is_led_back_to_the_command(
    endpoint: TokenEndpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    login = asyncio.create_task(log_in(_account(endpoint), paste=False))
    redirect, state = await _page(capsys)
    async with aiohttp.ClientSession() as browser, browser.get(redirect, params={"code": "c", "state": state}) as page:
        assert await page.text() == "You are logged in. Close this page."
    assert await login == Grant("access-1", 3600.0, "refresh-2")
    (form,) = endpoint.forms
    assert (form["grant_type"], form["code"], form["redirect_uri"]) == ("authorization_code", "c", redirect)


async def test_a_page_that_another_site_opened_logs_nobody_in(
    endpoint: TokenEndpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    login = asyncio.create_task(log_in(_account(endpoint), paste=False))
    redirect, state = await _page(capsys)
    async with aiohttp.ClientSession() as browser:
        async with browser.get(redirect, params={"code": "c", "state": "guessed"}) as page:
            assert page.status == 400
        assert not login.done()
        assert endpoint.forms == []
        async with browser.get(redirect, params={"error": "access_denied", "state": state}) as page:
            assert "The login failed" in await page.text()
    assert await login == Refusal("access_denied")


async def test_the_address_of_a_browser_elsewhere_is_copied(
    endpoint: TokenEndpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    pasted: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()

    def prompt(*_: object, **__: object) -> str:
        return asyncio.run_coroutine_threadsafe(asyncio.wait_for(pasted, PATIENCE), loop).result()

    with patch("relay.cli.oauth_login.click.prompt", prompt):
        login = asyncio.create_task(log_in(_account(endpoint), paste=True))
        redirect, state = await _page(capsys)
        pasted.set_result(f"{redirect}?state={state}&code=c&scope=mail")
        assert await login == Grant("access-1", 3600.0, "refresh-2")
