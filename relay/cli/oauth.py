"""`relay oauth`: accounts that log in by OAuth2."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from relay.cli.client import AdminClient
from relay.cli.common import (
    EX_CONFIG,
    EX_NOPERM,
    EX_TEMPFAIL,
    config_option,
    json_option,
    printable,
    settings_or_exit,
    show,
)
from relay.oauth.account import Account, accounts_of
from relay.oauth.guidance import guidance_of
from relay.oauth.token_responses import Refusal

COLUMNS = (
    ("ACCOUNT", "account"),
    ("PRESET", "preset"),
    ("FLOW", "flow"),
    ("STATE", "state"),
    ("TOKEN ENDS IN", "left"),
    ("LOGGED IN", "logged_in_at"),
    ("SECRET EXPIRES", "secret_expires"),
    ("WHY", "why"),
)


@click.group()
def oauth() -> None:
    """Log in for providers and the bounce mailbox by OAuth2."""


@oauth.command("login")
@click.argument("name", metavar="ACCOUNT")
@click.option("--paste", is_flag=True, help="The browser is on another machine: copy the address it is led to.")
@config_option
def login_command(name: str, paste: bool, path: Path) -> None:
    """Log in for ACCOUNT: the name of a provider, or bounces.imap. The running relay stores the login for all nodes.

    Exits with 77 if the login was refused, 75 if the endpoint does not answer, 78 if the account has no flow = "user".
    """
    from relay.cli.oauth_login import log_in  # Not at the top: it loads an HTTP server.

    account = _account(name, path)
    client = AdminClient(path)
    if silence := client.silence():
        click.echo(f"relay: {silence}; start `relay serve` first: it stores the login", err=True)
        sys.exit(EX_TEMPFAIL)

    answer = asyncio.run(log_in(account, paste=paste))
    if isinstance(answer, Refusal):
        _fail(str(answer), guidance_of(answer, account), final=answer.is_final)
    if not answer.refresh_token:
        _fail(
            "the answer of the endpoint has no refresh token", "Allow offline access for this application.", final=True
        )
    state = client.post(f"/oauth/{name}/login", body={"refresh_token": answer.refresh_token}, seconds=90)
    if state["state"] != "ok":
        _fail(state["error"], state["guidance"], final=state["state"] != "no answer")
    click.echo(f"{name} is logged in: {token_text(state)}")


@oauth.command("status")
@config_option
@json_option
def status_command(path: Path, as_json: bool) -> None:
    """List the accounts with OAuth2: their state, the end of their token, and why there is none."""
    rows = AdminClient(path).get("/oauth")["accounts"]
    show(rows if as_json else [_row(one) for one in rows], COLUMNS, as_json=as_json)


@oauth.command("logout")
@click.argument("name", metavar="ACCOUNT")
@config_option
@json_option
def logout_command(name: str, path: Path, as_json: bool) -> None:
    """Delete the login of ACCOUNT, on all nodes. Access tokens of other nodes hold until they end, an hour at most."""
    answer = AdminClient(path).post(f"/oauth/{name}/logout")
    if as_json:
        click.echo(json.dumps(answer))
    elif answer["deleted"]:
        click.echo(f"the login of {name} is deleted; revoke it at the service too")
    else:
        click.echo(f"no login is stored for {name}")


def token_text(state: dict[str, Any]) -> str:
    """Return where a token is from and how long it holds, or why there is none."""
    if state["state"] == "ok":
        return f"token from {state['server']}, {state['seconds']} s"
    return f"no token from {state['server']}: {state['error']}"


def _account(name: str, path: Path) -> Account:
    """Return the account; exit with 78 if it takes no login of a person."""
    accounts = accounts_of(settings_or_exit(path))
    account = accounts.get(name)
    if account is None:
        known = ", ".join(accounts) or "none"
        click.echo(f"relay: {path} has no account {name} with OAuth2; it has: {known}", err=True)
        sys.exit(EX_CONFIG)
    if not account.needs_login:
        click.echo(f'relay: {name} needs no login of a person: its flow is "app"', err=True)
        sys.exit(EX_CONFIG)
    return account


def _fail(reason: str, guidance: str, *, final: bool) -> NoReturn:
    click.echo(f"relay: no login: {printable(reason)}\nwhat to do: {printable(guidance)}", err=True)
    sys.exit(EX_NOPERM if final else EX_TEMPFAIL)


def _row(form: dict[str, Any]) -> dict[str, object]:
    why = f"{form['error']}. {form['guidance']}" if form["error"] else ""
    return {**form, "left": f"{form['seconds']} s" if form["seconds"] else "", "why": why}
