"""`relay imap`: lists the folders of the bounce mailbox."""

import asyncio
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from pydantic import ValidationError

from relay.cli.client import AdminClient, give_up
from relay.cli.common import EX_CONFIG, config_option, json_option, printable, settings_or_exit, show
from relay.clock import system_clock
from relay.config.errors import closest, problem_of
from relay.config.oauth_checks import IMAP_ACCOUNT
from relay.config.settings import Imap
from relay.inbound.imap_errors import MailboxError
from relay.inbound.imap_folders import Folders, read_folders
from relay.inbound.imap_mailbox import Folder, with_prefix
from relay.oauth.account import Account
from relay.oauth.guidance import guidance_of
from relay.oauth.token_responses import Refusal

_COLUMNS = (("FOLDER", "folder"), ("MESSAGES", "messages"), ("USE", "use"))

_PORTS = {"implicit": 993, "starttls": 143, "none": 143}


@click.group()
def imap() -> None:
    """Show the bounce mailbox."""


@imap.command("folders")
@config_option
@click.option("--host", default="", help="Server to ask; default: that of [bounces.imap].")
@click.option("--port", type=click.IntRange(1, 65535), help="Default: 993, or 143 without implicit TLS.")
@click.option("--tls", type=click.Choice(list(_PORTS)), help="Default: implicit.")
@click.option("--username", default="", help="Login; the password is asked for, or read from standard input.")
@json_option
def folders_command(path: Path, host: str, port: int | None, tls: str | None, username: str, as_json: bool) -> None:
    """List the folders of the bounce mailbox. The relay need not be running, unless a person logs in for it (OAuth2).

    With --host and --username no configuration is needed. Exits with 78 if no mailbox is configured, with 69 if the
    server does not answer or refuses the login.
    """
    if bool(host) != bool(username) or ((port or tls) and not host):
        raise click.UsageError("--host and --username belong together; --port and --tls need them")
    account = _account(host, port, tls or "implicit", username) if host else _configured(path)
    found = _folders_of_relay(path) if account.oauth and account.oauth.flow == "user" else _folders(account)
    names = [one.name for one in found.folders]
    uses = {} if host else _uses(account, names, found.prefix)
    rows = [{"folder": one.name, "messages": one.messages, "use": uses.get(one.name, "")} for one in found.folders]
    show(rows, _COLUMNS, as_json=as_json)
    if not host:
        _warn_of_missing(account, names, found.prefix)


def _configured(path: Path) -> Imap:
    account = settings_or_exit(path).bounces.imap
    if account is None:
        click.echo(
            f"relay: {path} has no [bounces.imap]: add host, username and password_file, or use --host and --username",
            err=True,
        )
        sys.exit(EX_CONFIG)
    return account


def _account(host: str, port: int | None, tls: str, username: str) -> Imap:
    """Return an account that is in no configuration, with its password."""
    values = {"host": host, "port": port or _PORTS[tls], "tls": tls, "username": username, "handled": "leave"}
    try:
        Imap.model_validate({**values, "password": ""})
        return Imap.model_validate({**values, "password": _password(f"Password of {username} on {host}")})
    except ValidationError as error:
        problem = problem_of(error.errors()[0])
        option = f"--{problem.path[-1]}" if problem.path else "the account"
        raise click.UsageError(f"{option} {problem.problem}; allowed: {problem.allowed}") from None


def _password(question: str) -> str:
    """Ask for the password without showing it; read the first line of a standard input that is no terminal."""
    if sys.stdin.isatty():
        return str(click.prompt(question, hide_input=True, err=True))
    return sys.stdin.readline().rstrip("\r\n")


def _folders(account: Imap) -> Folders:
    try:
        return read_folders(account, _token(account))
    except MailboxError as error:
        give_up(str(error))


def _folders_of_relay(path: Path) -> Folders:
    """Have the running relay list them: the login of the person is in its store, and no command gets it."""
    client = AdminClient(path)
    if silence := client.silence():
        give_up(f"{silence}; start `relay serve` first: a person logs in for this mailbox, and it has the login")
    answer = client.get("/imap/folders")
    if "error" in answer:
        give_up(printable(answer["error"]))
    return Folders([Folder(**one) for one in answer["folders"]], answer["prefix"])


def _token(account: Imap) -> str:
    """Return an access token for an account with OAuth2, "" for one with a password; exit with 69 if there is none."""
    if account.oauth is None:
        return ""
    from relay.oauth.token_endpoint import request_token  # Not at the top: it loads an HTTP client.
    from relay.oauth.token_requests import app_request

    found = Account(IMAP_ACCOUNT, "imap", account.username, account.oauth)
    answer = asyncio.run(request_token(*app_request(found, system_clock(), secrets.token_hex(16))))
    if isinstance(answer, Refusal):
        give_up(f"no access token: {printable(answer)}. {guidance_of(answer, found)}")
    return answer.access_token


def _uses(account: Imap, names: Sequence[str], prefix: str) -> dict[str, str]:
    """Return the uses of folders by name: a folder of the configuration may stand behind the prefix."""

    def found(name: str) -> str:
        return name if name in names else with_prefix(name, prefix)

    handled = {found(account.handled_folder): "handled mail"} if account.handled == "move" else {}
    return {**handled, found(account.folder): "polled"}


def _warn_of_missing(account: Imap, names: Sequence[str], prefix: str) -> None:
    if account.folder not in names and with_prefix(account.folder, prefix) not in names:
        similar = closest(account.folder, names)
        hint = f'; did you mean "{similar}"?' if similar else ""
        click.echo(f'relay: there is no folder "{account.folder}" (bounces.imap.folder){hint}', err=True)
