"""What the commands share: the option that names the configuration, and reading it."""

import os
import sys
from pathlib import Path

import click

from relay.config import Settings, check

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
