"""`relay dkim`: make, list and change the keys a sending domain signs with."""

import os
import sys
from pathlib import Path
from typing import Any, Literal

import click

from relay.cli.client import AdminClient
from relay.cli.common import EX_CONFIG, config_option, json_option, show
from relay.config import ConfigError, load
from relay.domains.key_files import write_key
from relay.mailauth.dkim_keys import (
    KeyFaultError,
    SigningKey,
    dns_record,
    generate_key,
    load_key,
    record_name,
    zone_line,
)


class CannotCreateError(click.ClickException):
    """The key file cannot be made (sysexits EX_CANTCREAT)."""

    exit_code = 73


@click.group()
def dkim() -> None:
    """Make, list and change the keys a sending domain signs with (DKIM, RFC 6376)."""


@dkim.command()
@click.argument("domain")
@click.option("--selector", default="s1", show_default=True, help="Name of the key below _domainkey.DOMAIN.")
@click.option("--algorithm", type=click.Choice(["rsa", "ed25519"]), default="rsa", show_default=True)
@click.option(
    "--bits",
    type=click.IntRange(1024, 4096),
    default=2048,
    show_default=True,
    help="Length of an RSA key. Over 2048 takes several times as long to sign with, and some DNS hosts refuse it.",
)
@config_option
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="The data folder of the server, instead of the configuration file that names it.",
)
def new(
    domain: str,
    selector: str,
    algorithm: Literal["rsa", "ed25519"],
    bits: int,
    path: Path,
    data_dir: Path | None,
) -> None:
    """Make a signing key for DOMAIN and show the DNS record to publish.

    A key that is there already is never replaced: take another selector.
    """
    folder = data_dir or _configured_data_dir(path)
    try:
        pem = generate_key("rsa-sha256" if algorithm == "rsa" else "ed25519-sha256", bits)
        file = write_key(folder, domain, selector, pem)
        _hand_over(file, folder)
    except KeyFaultError as fault:
        raise click.UsageError(str(fault)) from None
    except OSError as fault:
        raise CannotCreateError(f"no key was made: {fault}") from None
    _show(load_key(pem, domain, selector), file)


@dkim.command()
@click.argument("domain")
@click.option("--algorithm", type=click.Choice(["rsa", "ed25519"]), default="rsa", show_default=True)
@click.option("--bits", type=click.IntRange(1024, 4096), default=2048, show_default=True, help="Length of an RSA key.")
@config_option
@json_option
def rotate(domain: str, algorithm: str, bits: int, path: Path, as_json: bool) -> None:
    """Have the running server make the next key of DOMAIN, and show what to publish.

    It is made under a selector that has no key, or one whose key nobody needs any more. The server goes on signing
    with the old key until DNS has shown the new one for some minutes, then changes over by itself.
    """
    body = {"algorithm": algorithm, "bits": bits}
    made = AdminClient(path).post(f"/dkim/{domain}/rotate", body=body)
    if as_json:
        show([made], (), as_json=True)
        return
    click.echo(
        f"A new key was made for the selector {made['selector']}. Publish this TXT record, in place of any other:"
    )
    click.echo(f"  name   {made['name']}")
    click.echo(f"  value  {made['record']}\n")
    click.echo("The same as a line of a zone file:")
    click.echo(f"  {made['zone_line']}\n")
    click.echo("Leave the record of the old key where it is: `relay dkim list` says until when.")
    click.echo(f"The server looks for the new one by itself; `relay domain look {domain}` makes it look now.")


@dkim.command("list")
@click.argument("domain")
@config_option
@json_option
def list_command(domain: str, path: Path, as_json: bool) -> None:
    """Show the keys of DOMAIN: which signs, which DNS shows, which record may go and when."""
    keys = AdminClient(path).get(f"/dkim/{domain}")["keys"]
    show([key if as_json else _row(key) for key in keys], _COLUMNS, as_json=as_json)


_COLUMNS = (
    ("SELECTOR", "selector"),
    ("ALGORITHM", "algorithm"),
    ("CREATED", "created_at"),
    ("STATE", "state"),
    ("PUBLISHED", "published"),
    ("KEEP PUBLISHED", "keep"),
)


def _row(key: dict[str, Any]) -> dict[str, object]:
    """Return what the table shows of a key."""
    keep = "while it signs" if key["state"] == "signing" else "until " + (key["keep_published_until"] or "")
    needed = key["state"] in ("signing", "resting")
    return {**key, "published": "yes" if key["published"] else "no", "keep": keep if needed else ""}


def _show(key: SigningKey, file: Path) -> None:
    name, value = record_name(key.selector, key.domain), dns_record(key)
    click.echo(f"The key is in {file}\n")
    click.echo("Publish this TXT record:")
    click.echo(f"  name   {name}")
    click.echo(f"  value  {value}\n")
    click.echo("The same as a line of a zone file:")
    click.echo(f"  {zone_line(name, value)}\n")
    click.echo("Once it can be looked up, let the domain sign with it:")
    click.echo(f'  [domains."{key.domain}"]\n  dkim = {{ selectors = ["{key.selector}"] }}')


def _hand_over(file: Path, folder: Path) -> None:
    """Give a key made by root to the owner of the data folder: the server that signs with it runs as that user."""
    if os.geteuid() == 0:
        owner = folder.stat()
        for made in (file, file.parent, file.parent.parent):
            os.chown(made, owner.st_uid, owner.st_gid)


def _configured_data_dir(path: Path) -> Path:
    """Return the data folder; say nothing of warnings, the commonest of which is that the key to be made is missing."""
    try:
        return load(path, os.environ).server.data_dir
    except ConfigError as fault:
        click.echo(str(fault), err=True)
        sys.exit(EX_CONFIG)
