"""`relay person`: people who may log in to the console, and the audit of what they changed."""

import os
import secrets
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar, cast

import click

from relay.cli.client import AdminClient
from relay.cli.common import EX_CONFIG, config_option, json_option, past_time, settings_or_exit, show
from relay.cli.identity_files import reload_option, reload_running
from relay.config import ConfigError, Fault
from relay.config.console import ROLES, Role
from relay.config.table_files import read_table
from relay.config.table_names import person_table
from relay.mail.address import AddressError, parse_address
from relay.mail.canonical_address import canonical
from relay.people.files import (
    PersonFileError,
    add_person,
    change_person,
    remove_person,
    reset_person,
)

T = TypeVar("T")

COLUMNS = (
    ("ADDRESS", "address"),
    ("ROLE", "role"),
    ("DOMAINS", "domains"),
    ("STATE", "state"),
    ("APP", "app"),
    ("LAST LOGIN", "logged_in_at"),
    ("SESSIONS", "sessions"),
)

CHANGES = (
    ("AT", "at"),
    ("PERSON", "person"),
    ("ACTION", "action"),
    ("SUBJECT", "subject"),
    ("BEFORE", "before"),
    ("AFTER", "after"),
)

_RANDOM = 26
"""Octets of a code and its salt."""

PAGE = 500
"""Rows that one request reads."""

_role_option = click.option("--role", type=click.Choice(ROLES), required=True, help="What the person may do.")

_domain_option = click.option(
    "--domain", "domains", multiple=True, help="Sending domain to which the person is restricted; repeatable."
)


@click.group()
def person() -> None:
    """Add, list and remove people who may log in to the console, and read what they changed."""


@person.command("new")
@click.argument("address")
@_role_option
@_domain_option
@config_option
@reload_option
def new_command(address: str, role: Role, domains: tuple[str, ...], path: Path, reload: bool | None) -> None:
    """Add a person as a file in conf.d, and print the code of the first login once.

    Roles: viewer reads, without addresses of recipients. support reads all, and acts on single messages and addresses.
    operator acts on all but people. owner acts on people too.
    """
    name, settings = _address(address), settings_or_exit(path)
    code, warnings = _written(
        name,
        lambda: add_person(
            path,
            name,
            role,
            domains,
            present=settings.console.people.get(name),
            random=secrets.token_bytes(_RANDOM),
            environ=os.environ,
        ),
    )
    _warn(warnings)
    click.echo(f"{name} is in {read_table(path, person_table(name), os.environ).file}")
    _show_code(code)
    reload_running(settings, path, reload)


@person.command("reset")
@click.argument("address")
@config_option
@reload_option
def reset_command(address: str, path: Path, reload: bool | None) -> None:
    """Give a person a new code. The password ends, and with it all sessions; an app stays."""
    name, settings = _address(address), settings_or_exit(path)
    present = settings.console.people.get(name)
    code, warnings = _written(
        name,
        lambda: reset_person(path, name, present=present, random=secrets.token_bytes(_RANDOM), environ=os.environ),
    )
    _warn(warnings)
    _show_code(code)
    reload_running(settings, path, reload)


@person.command("change")
@click.argument("address")
@_role_option
@_domain_option
@config_option
@reload_option
def change_command(address: str, role: Role, domains: tuple[str, ...], path: Path, reload: bool | None) -> None:
    """Give a person another role, and the domains that are named. All sessions of the person end."""
    name, settings = _address(address), settings_or_exit(path)
    present = settings.console.people.get(name)
    warnings = _written(name, lambda: change_person(path, name, role, domains, present=present, environ=os.environ))
    _warn(warnings)
    click.echo(f"{name} is {role} of {', '.join(domains) or 'all domains'}")
    reload_running(settings, path, reload)


@person.command("remove")
@click.argument("address")
@config_option
@reload_option
def remove_command(address: str, path: Path, reload: bool | None) -> None:
    """Remove a person that `new` added. All sessions of the person end; the audit keeps what the person changed."""
    name, settings = _address(address), settings_or_exit(path)
    present = settings.console.people.get(name)
    _warn(_written(name, lambda: remove_person(path, name, present=present, environ=os.environ)))
    click.echo(f"{name} is removed")
    if reload_running(settings, path, reload):
        AdminClient(path, settings).post("/people/forget", body={"address": name})


@person.command("list")
@config_option
@json_option
def list_command(path: Path, as_json: bool) -> None:
    """List people with their roles, apps, last logins and open sessions."""
    found = AdminClient(path).get("/people")["people"]
    rows = found if as_json else [_row(one) for one in found]
    show(rows, COLUMNS, as_json=as_json)


@person.command("logout")
@click.argument("address")
@config_option
def logout_command(address: str, path: Path) -> None:
    """End all sessions of a person, on all nodes."""
    answer = AdminClient(path).post("/people/logout", body={"address": _address(address)})
    click.echo(f"{answer['sessions']} sessions of {answer['address']} ended")


@person.command("totp")
@click.argument("address")
@click.option("--remove", is_flag=True, help="Remove the app; all sessions of the person end.")
@config_option
def totp_command(address: str, remove: bool, path: Path) -> None:
    """Show whether a person has set up an app for codes (TOTP), or remove it: after the loss of a phone."""
    client, name = AdminClient(path), _address(address)
    found = next((one for one in client.get("/people")["people"] if one["address"] == name), None)
    if found is None:
        raise click.UsageError(f"{name} is not a person of the console")
    if not remove:
        click.echo(f"{name} has {'an app' if found['app'] else 'no app'}")
        return
    answer = client.post("/people/totp", body={"address": name})
    click.echo(f"the app of {name} is removed" if answer["removed"] else f"{name} has no app")


@person.command("audit")
@click.option("--person", "address", default="", metavar="ADDRESS", help="What this person changed.")
@click.option("--action", default="", help='An action, or its first part, such as "queue".')
@click.option("--since", default="30d", show_default=True, help="Period such as 30d, or a time.")
@config_option
@json_option
def audit_command(address: str, action: str, since: str, path: Path, as_json: bool) -> None:
    """List what people changed on the console, latest first."""
    client, before, rows = AdminClient(path), "", list[dict[str, object]]()
    while True:
        query = {"person": address, "action": action, "since": repr(past_time(since)), "limit": str(PAGE)}
        page = client.get("/changes", query | ({"before": before} if before else {}))
        rows += page["changes"]
        before = page["next"] or ""
        if not before:
            break
    show(rows, CHANGES, as_json=as_json)


def _row(found: dict[str, object]) -> dict[str, object]:
    """Return a person as the table shows one."""
    domains = cast("list[str]", found["domains"])
    state = "active" if found["password"] else "first login open"
    return found | {
        "role": found["role"] or "-",
        "domains": ", ".join(domains) or "all",
        "app": "yes" if found["app"] else "no",
        "state": state if found["role"] else "not configured",
    }


def _address(text: str) -> str:
    try:
        return canonical(str(parse_address(text.strip())))
    except AddressError as error:
        raise click.UsageError(f"{text!r} is not a mail address: {error}") from None


def _written(name: str, write: Callable[[], T]) -> T:
    """Return what `write` returns; exit with the reason if the configuration stays as it was."""
    try:
        return write()
    except PersonFileError as error:
        raise click.UsageError(str(error)) from None
    except ConfigError as error:
        click.echo(f"{error}\nrelay: {name} was not changed", err=True)
    except OSError as error:
        click.echo(f"relay: {error.filename} cannot be written: {error.strerror}", err=True)
    sys.exit(EX_CONFIG)


def _warn(warnings: Sequence[Fault]) -> None:
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)


def _show_code(code: str) -> None:
    click.echo(f"Code of the first login: {code}   (shown only once; it is replaced by a password)")
