"""`relay config`: check the configuration, show what is in force."""

import json
import os
import sys
from pathlib import Path

import click

from relay.config import Settings, check
from relay.config.show import plain, toml_of

EX_CONFIG = 78
"""Exit code of a configuration that cannot be used (sysexits.h)."""

config_option = click.option(
    "-c",
    "--config",
    "path",
    type=click.Path(path_type=Path),
    envvar="RELAY_CONFIG",
    default="/etc/relay/relay.toml",
    show_default=True,
    show_envvar=True,
    help="The configuration file.",
)
"""The option every command has that reads the configuration; the command gets a Path as `path`."""


def settings_or_exit(path: Path) -> Settings:
    """Return the settings; print every warning and fault to standard error, and exit with 78 when there are faults."""
    settings, faults, warnings = check(path, os.environ)
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    for fault in faults:
        click.echo(str(fault), err=True)
    if settings is None:
        sys.exit(EX_CONFIG)
    return settings


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
    settings = settings_or_exit(path)
    click.echo(json.dumps(plain(settings)) if as_json else toml_of(settings), nl=as_json)
