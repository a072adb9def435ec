"""`relay init`: writes a working configuration with key and login, and shows the DNS records and the next steps."""

import json
import os
import secrets
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import click

from relay.cli.common import EX_CONFIG, CannotCreateError, config_option
from relay.cli.dkim import set_owner
from relay.cli.doctor import results, show_result
from relay.cli.domain import records_sheet, zone_file
from relay.config import Settings, check
from relay.config.credentials import RANDOM_OCTETS, new_key
from relay.config.parsers import HostPort, parse_host_port
from relay.config.secret_hash import hash_secret
from relay.config.show import toml_value
from relay.domains.key_files import missing_keys, write_key
from relay.domains.records import DkimKey, SendingDomain, records, sending_domain
from relay.mail.canonical_address import canonical_domain
from relay.mailauth.dkim_keys import dns_record, generate_key, load_key

SELECTOR = "s1"
"""Name of the first DKIM key."""

LOGIN = "app1"
"""Name of the first login."""

HASH_FILE = f"{LOGIN}.hash"
"""File of the hash of the login, beside the configuration."""

PASSWORD_FILE = "provider.secret"  # noqa: S105 - a name
"""File of the password of the provider, beside the configuration."""


@dataclass(frozen=True, slots=True)
class FirstRun:
    """What the first configuration has. "" for none."""

    domain: str
    hostname: str
    data_dir: Path
    provider: HostPort | None = None
    username: str = ""


def configuration(run: FirstRun) -> str:
    """Return the configuration as TOML."""
    lines = [
        "# relay config describe shows every key with its default, relay doctor what is missing.",
        "",
        "[server]",
        f"hostname = {toml_value(run.hostname)}",
        f"data_dir = {toml_value(str(run.data_dir))}",
        "",
        "# The HTTP server of pixels and links. Set base_url to the https URL by which readers reach it.",
        "[tracker]",
        'address = "127.0.0.1:8025"',
        f'#base_url = "https://t.{run.domain}"',
        "",
        f"[domains.{toml_value(run.domain)}]",
        f'dkim = {{ selectors = ["{SELECTOR}"] }}',
        "",
        f"[credentials.{LOGIN}]",
        f'secret_hash_file = "{HASH_FILE}"',
    ]
    if run.provider is not None:
        host = run.provider
        lines += ["", "[[provider]]", 'name = "provider"', f"host = {toml_value(host.host)}", f"port = {host.port}"]
        lines += ['tls = "implicit"'] if host.port == 465 else []
        if run.username:
            lines += [f"username = {toml_value(run.username)}", f'password_file = "{PASSWORD_FILE}"']
        lines += ["", "[defaults]", 'provider = "provider"']
    return "\n".join(lines) + "\n"


_FORMATS = click.Choice(["text", "zone", "json"])


@click.command()
@click.option("--domain", "name", required=True, help="The domain of the From addresses.")
@click.option("--hostname", default="", help="Name of this machine in DNS. Default: mail.DOMAIN.")
@click.option("--provider", default="", metavar="HOST[:PORT]", help="Deliver by this SMTP service, not directly.")
@click.option("--username", default="", help="Login at the provider.")
@click.option("--password", default="", envvar="RELAY_PROVIDER_PASSWORD", show_envvar=True, help="Its password.")
@click.option("--data-dir", default="/var/lib/relay", show_default=True, type=click.Path(path_type=Path))
@click.option("--format", "form", default="text", type=_FORMATS, help="Of the DNS records.")
@click.option("--doctor/--no-doctor", "checks", default=True, show_default=True, help="End with relay doctor.")
@config_option
def init(
    name: str,
    hostname: str,
    provider: str,
    username: str,
    password: str,
    data_dir: Path,
    form: Literal["text", "zone", "json"],
    checks: bool,
    path: Path,
) -> None:
    """Write a configuration for one domain, make its DKIM key and a login, and show the DNS records to publish.

    Nothing that exists is replaced; a DKIM key that exists is used. With --format zone or json, standard output has the
    records only, and the rest goes to standard error.
    """
    domain = canonical_domain(name)
    if username and not password:
        password = click.prompt(f"Password of {username} at {provider}", hide_input=True, err=True)
    key = new_key(LOGIN, secrets.token_bytes(RANDOM_OCTETS))
    run = FirstRun(domain, hostname or f"mail.{domain}", data_dir.absolute(), _provider(provider), username)
    secret_files = {HASH_FILE: hash_secret(key, secrets.token_bytes(16))}
    if password:
        secret_files[PASSWORD_FILE] = password
    settings = _write(run, path, secret_files)
    about = _sending_domain(settings, domain)
    aside = form != "text"
    click.echo(f"{path} is written. The login of the first application, shown only once:", err=aside)
    click.echo(f"  host {settings.listeners[0].address}  user name {LOGIN}  password {key}\n", err=aside)
    _show_records(about, form)
    click.echo("\n" + "\n".join(_next_steps(path, secret_files)), err=aside)
    if checks:
        for result in results(settings, path):
            show_result(result, err=aside)


def _provider(text: str) -> HostPort | None:
    """Return host and port of a provider, None for ""."""
    try:
        return parse_host_port(text if ":" in text else f"{text}:587") if text else None
    except ValueError as error:
        raise click.UsageError(f"--provider: {error}") from None


def _write(run: FirstRun, path: Path, secret_files: Mapping[str, str]) -> Settings:
    """Write configuration, secrets and key. Exits with 73 if a file exists, with 78 if the values are wrong."""
    secret_paths = [path.with_name(name) for name in secret_files]
    for file in (path, *secret_paths):
        if file.exists():
            raise CannotCreateError(f"{file} exists already, and stays as it is")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for file, secret in zip(secret_paths, secret_files.values(), strict=True):
            file.touch(mode=0o600)
            file.write_text(f"{secret}\n", encoding="utf-8")
        path.write_text(configuration(run), encoding="utf-8")
        settings, faults, _ = check(path, os.environ)
        if settings is None:
            for file in (path, *secret_paths):
                file.unlink()
            click.echo("\n".join(map(str, faults)), err=True)
            sys.exit(EX_CONFIG)
        if missing_keys(run.data_dir, run.domain, [SELECTOR]):
            set_owner(write_key(run.data_dir, run.domain, SELECTOR, generate_key("rsa-sha256")), run.data_dir)
    except OSError as error:
        raise CannotCreateError(str(error)) from None
    return settings


def _next_steps(path: Path, secret_files: Mapping[str, str]) -> Iterator[str]:
    """Yield what is left to do."""
    yield f"Next: publish these records, then start `relay serve -c {path}`."
    yield "Under systemd: `relay share` writes relay.service. Add these lines to its [Service]:"
    yield from (f"  LoadCredential={name}:{path.with_name(name).absolute()}" for name in secret_files)


def _sending_domain(settings: Settings, domain: str) -> SendingDomain:
    pem = (settings.server.data_dir / "dkim" / domain / f"{SELECTOR}.pem").read_bytes()
    key = load_key(pem, domain, SELECTOR)
    return sending_domain(settings, domain, [DkimKey(SELECTOR, dns_record(key))])


def _show_records(about: SendingDomain, form: Literal["text", "zone", "json"]) -> None:
    wanted = records(about)
    if form == "json":
        click.echo(json.dumps([{**asdict(one), "zone_line": one.zone_line} for one in wanted], indent=1))
    else:
        click.echo("\n".join(zone_file(about, wanted) if form == "zone" else records_sheet(about, wanted)))
