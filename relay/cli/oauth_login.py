"""The dialogue of `relay oauth login`: shows the page, and waits until a person has logged in."""

import asyncio
import secrets

import click
from aiohttp import web

from relay.cli.common import printable
from relay.clock import system_clock
from relay.oauth.account import Account
from relay.oauth.login import BrowserLogin, request_device_code, wait_for_device
from relay.oauth.token_responses import Grant, Refusal

LOGIN_TIMEOUT = 900.0
"""Seconds that a person has to log in in the browser."""

_DONE = "You are logged in. Close this page."

_NOT_THIS = "This address is not of the login that is under way."

_FAILED = "The login failed; the command has the reason. Close this page."


async def log_in(account: Account, *, paste: bool) -> Grant | Refusal:
    """Let a person log in; with a code where the endpoint has that, else on a page of the browser.

    `paste`: the browser is on another machine, and the person copies the address that it is led to.
    """
    if account.device_url:
        return await _by_code(account)
    return await _by_browser(account, paste=paste)


async def _by_code(account: Account) -> Grant | Refusal:
    code = await request_device_code(account)
    if isinstance(code, Refusal):
        return code
    click.echo(f"Open {printable(code.page)} in a browser, log in as {account.username},")
    click.echo(f"and type in the code  {printable(code.user_code)}")
    return await wait_for_device(account, code, clock=system_clock, unique=lambda: secrets.token_hex(16))


async def _by_browser(account: Account, *, paste: bool) -> Grant | Refusal:
    led_to: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    state = secrets.token_urlsafe(16)

    async def answer(request: web.Request) -> web.Response:
        if request.query.get("state") != state:  # Any page in the browser may open this address.
            return web.Response(status=400, text=_NOT_THIS)
        if not led_to.done():
            led_to.set_result(str(request.rel_url))
        return web.Response(text=_FAILED if "error" in request.query else _DONE)

    app = web.Application()
    app.add_routes([web.get("/", answer)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        login = BrowserLogin(account, f"http://127.0.0.1:{port}/", state, secrets.token_urlsafe(48))
        return await _finish(login, led_to, paste=paste)
    finally:
        await runner.cleanup()


async def _finish(login: BrowserLogin, led_to: asyncio.Future[str], *, paste: bool) -> Grant | Refusal:
    click.echo(f"Open this address in a browser, and log in as {login.account.username}:\n\n{login.page}\n")
    if paste:
        click.echo("The browser is then led to an address that it cannot open. Copy that address to here.")
        address = await asyncio.to_thread(click.prompt, "Address", err=True)
    else:
        click.echo("The browser has to be on this machine; else end this, and use --paste.")
        try:
            async with asyncio.timeout(LOGIN_TIMEOUT):
                address = await led_to
        except TimeoutError:
            return Refusal("expired_token")

    code = login.code_in(address)
    if isinstance(code, Refusal):
        return code
    return await login.finish(code, system_clock(), secrets.token_hex(16))
