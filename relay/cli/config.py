"""`relay config`."""

import json
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from relay.cli.client import NO_SERVER, AdminClient
from relay.cli.common import EX_CONFIG, config_option, json_option, settings_or_exit
from relay.cli.output import use_utf_8
from relay.cli.undelivered_replies import warn_of_lost_replies
from relay.config import Settings
from relay.config.errors import closest, key_text
from relay.config.masking import MASK
from relay.config.parsers import parse_host_port
from relay.config.reference import NAMED, REPEATABLE, Described, describe, reference
from relay.config.show import plain, toml_document, toml_value
from relay.config.toml_positions import KeyPath


@click.group()
def config() -> None:
    """Check and show the configuration."""


@config.command("check")
@config_option
def check_command(path: Path) -> None:
    """Print all errors and warnings of the configuration, or "ok".

    What the start does is tried. Certificates and keys are read, addresses are bound for a moment, and a PostgreSQL
    database is opened without a change. DNS is asked where answers to identities go, if that decides whether they have
    a reader. Exits with 78 if there are errors; a forward_to that gets no answers is one. Warnings do not change the
    exit code.
    """
    settings = settings_or_exit(path)
    from relay.cli.start_faults import print_faults

    faults = print_faults(start_faults(settings, path)) + warn_of_lost_replies(settings, settings.identities)
    if faults:
        sys.exit(EX_CONFIG)
    click.echo(f"{path}: ok")


def start_faults(settings: Settings, path: Path) -> Iterator[tuple[str, bool]]:
    """Yield what would make the start fail, and whether it is only what this user may not try."""
    # Imported for this command only: it loads much of the server.
    from relay.cli.start_faults import find_start_faults

    return find_start_faults(settings, path, _ports_in_use(AdminClient(path, settings)), is_server=False)


def _ports_in_use(client: AdminClient) -> set[int] | None:
    """Return the ports of the running server, none if there is none, and None if they are not known."""
    if silence := client.silence():
        return set() if silence.startswith(NO_SERVER) else None
    shown = client.find("/configuration")
    if shown is None:
        return None
    settings = shown["settings"]
    tables = [*settings["listener"], *(settings.get(name, {}) for name in ("tracker", "api", "admin", "metrics"))]
    return {parse_host_port(address).port for table in tables if (address := table.get("address"))}


@config.command("show")
@config_option
@click.option("--json", "as_json", is_flag=True, help="Write JSON instead of TOML.")
def show_command(path: Path, as_json: bool) -> None:
    """Show the settings in force in the running server, with defaults and overrides; secrets are masked.

    A comment marks each value that differs from the file, and whether it needs a reload or a restart. Without a running
    server the settings of the file are shown.
    """
    of_file = settings_or_exit(path)
    client = AdminClient(path, of_file)
    silence = client.silence()
    shown = None if silence else client.find("/configuration")
    if shown is None:
        click.echo(f"relay: {silence or 'the relay is too old'}; these are the settings of the file", err=True)
        shown = {"settings": plain(of_file.resolved()), "differences": [], "faults": []}
    for fault in shown["faults"]:
        click.echo(fault, err=True)
    settings, differences = shown["settings"], shown["differences"]
    if as_json:
        click.echo(json.dumps(settings | ({"differences": differences} if differences else {})))
    else:
        use_utf_8()
        click.echo(marked_toml(settings, differences), nl=False)


@config.command("describe")
@click.argument("key", default="")
@json_option
def describe_command(key: str, as_json: bool) -> None:
    """Show default and meaning of KEY, such as delivery.tls, or of all keys of a table; without KEY, all keys."""
    found = describe(key) if key else reference()
    if not found:
        similar = closest(key, [one.name for one in reference()])
        raise click.UsageError(f'there is no key "{key}"' + (f"; did you mean {similar}?" if similar else ""))
    for one in found:
        if as_json:
            click.echo(json.dumps({"key": one.name, "value": one.value, "example": one.is_example, "text": one.text}))
        elif key:
            click.echo("\n".join(_described(one)))
        elif one.value:
            click.echo(f"{one.name} = {one.value}")


def _described(one: Described) -> Iterator[str]:
    """Yield the lines about one key or table."""
    if one.value:
        yield f"{one.name} = {one.value}" + ("  (example)" if one.is_example else "")
    else:
        yield f"[{one.name}]"
    yield from textwrap.wrap(one.text, 100, initial_indent="  ", subsequent_indent="  ")
    if one.value and len(one.path) == 2 and one.path[0] not in NAMED | REPEATABLE:
        yield f"  environment: RELAY__{'__'.join(one.path).upper()}"
    yield ""


@config.command("schema")
def schema_command() -> None:
    """Print the JSON Schema of the configuration, for editors that check TOML."""
    from relay.config.json_schema import configuration_schema  # Not at the top: building it takes a while.

    click.echo(json.dumps(configuration_schema(), indent=1))


@config.command("reload")
@config_option
def reload_command(path: Path) -> None:
    """Let the running server check its configuration and use it; if it has errors, the old one stays in effect."""
    result = AdminClient(path).post("/reload", allowed=(409,))
    if faults := result.get("faults"):
        for fault in faults:
            click.echo(fault, err=True)
        click.echo("relay: the old settings stay in effect", err=True)
        sys.exit(EX_CONFIG)
    click.echo("reloaded: " + (", ".join(result["changed"]) or "nothing changed"))
    if result["certificates"]:
        click.echo("renewed certificates of: " + ", ".join(result["certificates"]))
    if result["restart_needed"]:
        click.echo("a restart is needed for: " + ", ".join(result["restart_needed"]))


def marked_toml(settings: dict[str, Any], differences: Sequence[Mapping[str, Any]]) -> str:
    """Return settings as TOML, with a comment behind each value that differs from the file.

    What only the file has follows as comments.
    """
    notes: dict[KeyPath, str] = {}
    missing: list[str] = []
    for one in differences:
        path: KeyPath = tuple(one["path"])
        if one["added"]:
            tables = f"[{key_text(path[:-1])}]" if isinstance(path[-1], int) else key_text(path)
            missing.append(f"#   {tables} {toml_value(one['file'])}  ({one['needs']})")
        elif "file" not in one:
            notes[path] = f"not in the file: {one['needs']}"
        else:
            value = toml_value(one["file"])
            notes[path] = f"the file has {'another' if MASK in value else value}: {one['needs']}"
    end = ["", "# Only in the file:", *missing, ""] if missing else []
    return toml_document(settings, notes) + "\n".join(end)
