"""`relay init`: writes a working configuration with key and login, and shows the DNS records and the next steps."""

import json
import os
import secrets
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import click

from relay.cli.common import EX_CONFIG, CannotCreateError, config_option
from relay.cli.doctor import results, show_result
from relay.cli.domain import records_sheet, zone_file
from relay.cli.first_configuration import (
    CERTIFICATE_FILE,
    HASH_FILE,
    LOGIN,
    PASSWORD_FILE,
    SELECTOR,
    FirstConfiguration,
    configuration,
)
from relay.cli.service_user import has_service_user, set_owner
from relay.clock import system_clock
from relay.config import Settings, check
from relay.config.credentials import RANDOM_OCTETS, new_key
from relay.config.parsers import HostPort, parse_host_port
from relay.config.secret_hash import hash_secret
from relay.config.self_signed import self_signed_certificate
from relay.domains.key_files import missing_keys, write_key
from relay.domains.records import DkimKey, SendingDomain, records, sending_domain
from relay.mail.canonical_address import canonical_domain
from relay.mailauth.dkim_keys import dns_record, generate_key, load_key

_FORMATS = click.Choice(["text", "zone", "json"])

LISTEN_HELP = "Take mail of other machines at this address, such as 0.0.0.0 in a container: with a login, under TLS."


@click.command()
@click.option("--domain", "name", required=True, help="The domain of the From addresses.")
@click.option("--hostname", default="", help="Name of this machine in DNS. Default: mail.DOMAIN.")
@click.option("--provider", default="", metavar="HOST[:PORT]", help="Deliver by this SMTP service, not directly.")
@click.option("--username", default="", help="Login at the provider.")
@click.option("--password", default="", envvar="RELAY_PROVIDER_PASSWORD", show_envvar=True, help="Its password.")
@click.option("--data-dir", default="/var/lib/relay", show_default=True, type=click.Path(path_type=Path))
@click.option("--listen", default="", metavar="ADDRESS[:PORT]", help=LISTEN_HELP)
@click.option("--certificate", default="", metavar="FILE", help="PEM of chain and key, for --listen.")
@click.option("--base-url", default="", metavar="URL", help="Of pixels and links, as readers reach the tracker.")
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
    listen: str,
    certificate: str,
    base_url: str,
    form: Literal["text", "zone", "json"],
    checks: bool,
    path: Path,
) -> None:
    """Write a configuration for one domain, make its DKIM key and a login, and show the DNS records to publish.

    Nothing that exists is replaced; a DKIM key that exists is used. With --listen and without --certificate a
    certificate is made that no authority signed. With --format zone or json, standard output has the records only, and
    the rest goes to standard error.
    """
    domain = canonical_domain(name)
    password = _password(provider, username, password)
    key = new_key(LOGIN, secrets.token_bytes(RANDOM_OCTETS))
    run = FirstConfiguration(
        *(domain, hostname or f"mail.{domain}", data_dir.absolute(), _host_port("--provider", provider, 587), username),
        listen=_host_port("--listen", listen, 2525),
        certificate=certificate or CERTIFICATE_FILE,
        base_url=base_url,
    )
    secret_files = _secret_files(run, key, password)
    settings = _write(run, path, secret_files)
    _show(settings, path, domain, key, form)
    click.echo("\n" + "\n".join(_next_steps(settings, path, secret_files)), err=form != "text")
    if checks:
        for result in results(settings, path):
            show_result(result, err=form != "text")


def _password(provider: str, username: str, password: str) -> str:
    """Return the password of the login at the provider; ask for one that is missing. Raises UsageError."""
    if username and not provider:
        raise click.UsageError("--username is the login at a provider: name it with --provider")
    if username and not password and not sys.stdin.isatty():
        raise click.UsageError(f"the password of {username} is missing: set RELAY_PROVIDER_PASSWORD or use --password")
    if username and not password:
        return str(click.prompt(f"Password of {username} at {provider}", hide_input=True, err=True))
    return password


def _secret_files(run: FirstConfiguration, key: str, password: str) -> dict[str, str]:
    """Return names and contents of the files beside the configuration."""
    files = {HASH_FILE: hash_secret(key, secrets.token_bytes(16)) + "\n"}
    if password:
        files[PASSWORD_FILE] = f"{password}\n"
    if run.listen and run.certificate == CERTIFICATE_FILE:
        try:
            files[CERTIFICATE_FILE] = self_signed_certificate(run.hostname, system_clock()).decode()
        except ValueError:
            files[CERTIFICATE_FILE] = ""  # The check of the configuration says what is wrong with the host name.
    return files


def _show(settings: Settings, path: Path, domain: str, key: str, form: Literal["text", "zone", "json"]) -> None:
    about = _sending_domain(settings, domain)
    listener = settings.listeners[0]
    aside = form != "text"
    click.echo(f"{path} is written. The login of the first application, shown only once:", err=aside)
    tls = "" if listener.tls == "none" else f"  {'TLS' if listener.tls == 'implicit' else 'STARTTLS'}"
    click.echo(f"  host {listener.address}{tls}  user name {LOGIN}  password {key}\n", err=aside)
    _show_records(about, form)


def _host_port(option: str, text: str, port: int) -> HostPort | None:
    """Return host and port of an option, None for "". Without a port it is `port`."""
    if not text:
        return None
    if "/" in text:
        raise click.UsageError(f'{option}: "{text}" is not HOST or HOST:PORT, such as "smtp.example.net:587"')
    plain_ipv6 = text.count(":") > 1 and not text.startswith("[")
    has_port = ":" in text and not text.endswith("]") and not plain_ipv6
    try:
        return parse_host_port(text if has_port else f"[{text}]:{port}" if plain_ipv6 else f"{text}:{port}")
    except ValueError as error:
        raise click.UsageError(f"{option}: {error}") from None


def _write(run: FirstConfiguration, path: Path, secret_files: Mapping[str, str]) -> Settings:
    """Write configuration, secrets and key. Exits with 73 if a file exists, with 78 if the values are wrong."""
    secret_paths = [path.with_name(name) for name in secret_files]
    for file in (path, *secret_paths):
        if file.exists():
            raise CannotCreateError(f"{file} exists already, and stays as it is")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for file, secret in zip(secret_paths, secret_files.values(), strict=True):
            file.touch(mode=0o600)
            file.write_text(secret, encoding="utf-8")
        path.write_text(configuration(run), encoding="utf-8")
        settings, faults, _ = check(path, os.environ)
        if settings is None:
            for file in (path, *secret_paths):
                file.unlink()
            click.echo("\n".join(map(str, faults)), err=True)
            sys.exit(EX_CONFIG)
        for file in secret_paths if has_service_user(run.data_dir) else ():
            set_owner(run.data_dir, file)
        if missing_keys(run.data_dir, run.domain, [SELECTOR]):
            key = write_key(run.data_dir, run.domain, SELECTOR, generate_key("rsa-sha256"))
            set_owner(run.data_dir, key, key.parent, key.parent.parent)
    except OSError as error:
        raise CannotCreateError(f"{error.filename}: {error.strerror}" if error.filename else str(error)) from None
    return settings


def _next_steps(settings: Settings, path: Path, secret_files: Iterable[str]) -> Iterator[str]:
    """Yield what is left to do."""
    yield f"Next: publish these records, then start `relay serve -c {path}`."
    if has_service_user(settings.server.data_dir):
        yield "Under systemd: `systemctl enable --now relay`."
        return
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
