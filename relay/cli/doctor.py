"""`relay doctor`: checks what a relay needs beyond its configuration file."""

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click

from relay.cli.common import config_option, json_option, printable, settings_or_exit, show
from relay.cli.config import start_faults
from relay.cli.doctor_checks import (
    Result,
    check_certificates,
    check_clock,
    check_disk,
    check_dns,
    check_port_25,
    check_provider,
    check_tracking,
)
from relay.clock import system_clock
from relay.config import Settings
from relay.resolver import Resolver

_MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "wrong": ("✗", "red"), "unknown": ("?", "magenta")}


PROBE = "gmail.com"
"""Domain whose MX is asked whether port 25 is open."""


@click.command()
@click.option("--probe", default=PROBE, show_default=True, help="Domain whose MX is asked for port 25.")
@config_option
@json_option
def doctor(probe: str, path: Path, as_json: bool) -> None:
    """Check what the relay needs: configuration, ports, DNS, port 25, tracker, providers, certificates, clock, disk.

    Nothing is sent. Exits with 1 if something is wrong; what is unknown or a warning does not change the exit code.
    """
    settings = settings_or_exit(path, warn=False)
    wrong = False
    for result in results(settings, path, probe):
        wrong |= result.status == "wrong"
        if as_json:
            show([asdict(result)], (), as_json=True)
        else:
            show_result(result)
    sys.exit(1 if wrong else 0)


def show_result(result: Result, *, err: bool = False) -> None:
    """Print one result, to standard error if `err`."""
    mark, colour = _MARKS[result.status]
    click.echo(f"{click.style(mark, fg=colour)} {result.check:<12} {printable(result.text)}", err=err)


def results(settings: Settings, path: Path, probe: str = PROBE) -> Iterator[Result]:
    """Yield the results of all checks, as they come."""
    faults = list(start_faults(settings, path))
    yield from (Result("start", "warning" if only_here else "wrong", text) for text, only_here in faults)
    if not faults:
        yield Result("start", "ok", "configuration, keys, store and addresses are as the start needs them")
    yield from check_certificates(settings, system_clock())
    yield check_clock()
    yield check_disk(settings)
    yield from asyncio.run(_dns_results(settings, probe))
    for base_url in sorted({settings.base_url_for(name) for name in settings.domains} or {settings.tracker.base_url}):
        if base_url:
            yield check_tracking(base_url)
    yield from asyncio.run(_logins(settings))


async def _logins(settings: Settings) -> list[Result]:
    dns = Resolver(settings.resolver.endpoints)
    return list(await asyncio.gather(*(check_provider(settings, one, dns) for one in settings.providers)))


async def _dns_results(settings: Settings, probe: str) -> list[Result]:
    dns = Resolver(settings.resolver.endpoints)
    found = await check_dns(settings, dns)
    port = await check_port_25(settings, dns, probe)
    return [*found, port] if port else found
