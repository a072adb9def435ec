"""`relay config`, `relay credential`."""

import json
import secrets
import sys
from pathlib import Path

import click

from relay.cli.client import AdminClient
from relay.cli.common import EX_CONFIG, config_option, settings_or_exit
from relay.config.secret_hash import hash_secret
from relay.config.show import plain, toml_of


@click.group()
def config() -> None:
    """Check and show the configuration."""


@config.command("check")
@config_option
def check_command(path: Path) -> None:
    """Say everything that is wrong with the configuration, or that nothing is.

    Exits with 78 when it cannot be used. Warnings do not change the exit code.
    """
    settings_or_exit(path)
    click.echo(f"{path}: ok")


@config.command("show")
@config_option
@click.option("--json", "as_json", is_flag=True, help="Write JSON in place of TOML.")
def show_command(path: Path, as_json: bool) -> None:
    """Show the settings in force, defaults and overrides included; secrets are masked."""
    settings = settings_or_exit(path).resolved()
    click.echo(json.dumps(plain(settings)) if as_json else toml_of(settings), nl=as_json)


@config.command("reload")
@config_option
def reload_command(path: Path) -> None:
    """Have the running server check its configuration and switch to it; on any fault it keeps the old one."""
    result = AdminClient(path).post("/reload", allowed=(409,))
    if faults := result.get("faults"):
        for fault in faults:
            click.echo(fault, err=True)
        click.echo("relay: the server keeps its old settings", err=True)
        sys.exit(EX_CONFIG)
    click.echo("reloaded: " + (", ".join(result["changed"]) or "nothing changed"))
    if result["restart_needed"]:
        click.echo("these hold only after a restart: " + ", ".join(result["restart_needed"]))


@click.group()
def credential() -> None:
    """Make secrets by which applications authenticate."""


@credential.command("new")
@click.argument("name")
def new(name: str) -> None:
    """Make a secret for the credential NAME, show it once, and print what belongs in the configuration."""
    if not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise click.UsageError(f'"{name}" cannot be a name: letters, digits, ".", "-" and "_" can')
    secret = secrets.token_urlsafe(24)
    key = name if "." not in name else f'"{name}"'
    click.echo(f"User name  {name}")
    click.echo(f"Password   {secret}   (shown this once)\n")
    click.echo("Put this in the configuration and reload:")
    click.echo(f"  [credentials.{key}]")
    click.echo(f'  secret_hash = "{hash_secret(secret, secrets.token_bytes(16))}"')
