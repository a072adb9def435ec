"""`relay domain`: shows and checks the DNS records of sending domains."""

import asyncio
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from relay.cli.client import AdminClient
from relay.cli.common import EX_CONFIG, EX_TEMPFAIL, config_option, json_option, printable, settings_or_exit, show
from relay.config import Settings
from relay.config.errors import closest
from relay.domains.check import check
from relay.domains.finding import Finding, Status
from relay.domains.key_files import read_keys
from relay.domains.records import DkimKey, SendingDomain, WantedRecord, records, remarks, sending_domain
from relay.mail.canonical_address import canonical_domain
from relay.mailauth.dkim_keys import KeyFaultError, dns_record
from relay.resolver import Resolver

_WIDTH = 110
"""Characters of a line of output, at most."""

_COLUMNS = (
    ("DOMAIN", "domain"),
    ("STATE", "state"),
    ("SINCE", "since"),
    ("NEXT CHECK", "next_check_at"),
    ("SIGNS WITH", "signing"),
    ("WRONG", "wrong"),
)

_MARKS: dict[Status, tuple[str, str]] = {
    "ok": ("✓", "green"),
    "warning": ("!", "yellow"),
    "wrong": ("✗", "red"),
    "unknown": ("?", "magenta"),
}

target_option = click.option(
    "--cname-target",
    default="",
    metavar="ZONE",
    envvar="RELAY_CNAME_TARGET",
    show_envvar=True,
    help="Zone of the operator: selectors and return-path become aliases of names below it.",
)


@click.group()
def domain() -> None:
    """Show, check and monitor the DNS records of sending domains."""


@domain.command("list")
@config_option
@json_option
def list_command(path: Path, as_json: bool) -> None:
    """Show the result of the last DNS check of each domain, and the time of the next one."""
    rows = AdminClient(path).get("/domains")["domains"]
    show([row if as_json else _row(row) for row in rows], _COLUMNS, as_json=as_json)


@domain.command()
@click.argument("name", metavar="DOMAIN")
@config_option
def look(name: str, path: Path) -> None:
    """Let the running server check the DNS of DOMAIN now, before its next scheduled check."""
    AdminClient(path).post(f"/domains/{name}/look")
    click.echo("the check is started; `relay domain list` shows its result, the log any changes")


def _row(found: dict[str, Any]) -> dict[str, object]:
    """Return the row of a domain."""
    signing = ", ".join(found["signing"]) or "-"
    note = "" if found["verified"] or signing == "-" else " (not in DNS)"
    return {**found, "signing": signing + note, "wrong": "; ".join(found["wrong"])}


@domain.command("records")
@click.argument("name", metavar="DOMAIN")
@config_option
@target_option
@click.option("--zone", "as_zone", is_flag=True, help="Write only the lines for a zone file.")
@json_option
def records_command(name: str, path: Path, cname_target: str, as_zone: bool, as_json: bool) -> None:
    """Show the DNS records to publish so that mail of DOMAIN is authenticated and returned mail arrives."""
    about = _sending_domain(settings_or_exit(path), name, cname_target)
    wanted = records(about)
    if as_json:
        show([{**asdict(record), "zone_line": record.zone_line} for record in wanted], (), as_json=True)
    elif as_zone:
        click.echo("\n".join(zone_file(about, wanted)))
    else:
        click.echo("\n".join(records_sheet(about, wanted)))


@domain.command("check")
@click.argument("name", metavar="DOMAIN")
@config_option
@target_option
@json_option
def check_command(name: str, path: Path, cname_target: str, as_json: bool) -> None:
    """Compare the DNS records of DOMAIN with the expected ones, and show how to correct each difference.

    Exits with 1 if a record is wrong, with 75 if a DNS lookup failed. Warnings do not change the exit code.
    """
    settings = settings_or_exit(path)
    about = _sending_domain(settings, name, cname_target)
    findings = asyncio.run(_check(settings, about))
    if as_json:
        show(map(asdict, findings), (), as_json=True)
    else:
        click.echo("\n".join(_report(about, findings)))
    statuses = {finding.status for finding in findings}
    sys.exit(1 if "wrong" in statuses else EX_TEMPFAIL if "unknown" in statuses else 0)


async def _check(settings: Settings, about: SendingDomain) -> tuple[Finding, ...]:
    return await check(about, records(about), Resolver(settings.resolver.endpoints))


def _sending_domain(settings: Settings, name: str, cname_target: str) -> SendingDomain:
    wanted = canonical_domain(name)
    if wanted not in settings.domains:
        similar = closest(wanted, list(settings.domains))
        hint = f'; did you mean "{similar}"?' if similar else f': add [domains."{wanted}"]'
        raise click.UsageError(f'"{wanted}" is not in the configuration{hint}')
    try:
        keys = read_keys(settings.server.data_dir, wanted, settings.domains[wanted].dkim.selectors)
    except (KeyFaultError, OSError) as fault:
        click.echo(f"relay: {fault}", err=True)
        sys.exit(EX_CONFIG)
    published = [DkimKey(key.selector, dns_record(key)) for key in keys]
    return sending_domain(settings, wanted, published, cname_target=cname_target.lower().strip("."))


def _headings(about: SendingDomain, wanted: Sequence[WantedRecord]) -> Iterable[tuple[str, list[WantedRecord]]]:
    """Return the records grouped by zone, each group with a heading."""
    own = [record for record in wanted if record.publisher == "domain"]
    ours = [record for record in wanted if record.publisher == "operator"]
    if own:
        yield f"In the zone of {about.name}", own
    if ours:
        heading = (
            f"In the zone of {about.cname_target}" if about.cname_target else "In the zone of the relay's operator"
        )
        yield heading, ours


def zone_file(about: SendingDomain, wanted: Sequence[WantedRecord]) -> list[str]:
    """Return the records as lines of a zone file."""
    lines = []
    for heading, group in _headings(about, wanted):
        lines += [f"; {heading}", *(record.zone_line for record in group)]
    return lines


def records_sheet(about: SendingDomain, wanted: Sequence[WantedRecord]) -> list[str]:
    """Return the records as lines for people, with their purpose."""
    lines = [click.style(f"DNS records for {about.name}", bold=True)]
    for heading, group in _headings(about, wanted):
        lines += ["", click.style(f"{heading}", underline=True)]
        for record in group:
            lines += ["", f"  {click.style(record.name, bold=True)}", f"    {record.kind:<5} {record.value}"]
            lines += _wrapped(record.purpose, "    ", dim=True)

    notes = list(remarks(about))
    if notes:
        lines += ["", click.style("In the configuration", underline=True), ""]
    for role, text in notes:
        lines += _wrapped(f"{role}: {text}", "  ")
    command = f"relay domain check {about.name}" + (
        f" --cname-target {about.cname_target}" if about.cname_target else ""
    )
    return [*lines, "", f"When they are published, run: {command}"]


def _report(about: SendingDomain, findings: Sequence[Finding]) -> list[str]:
    lines = [click.style(f"DNS of {about.name}", bold=True)]
    heading = ""
    for finding in findings:
        last, heading = heading, _heading(about, finding)
        if heading != last:
            lines += ["", click.style(heading, underline=True)]
        lines += _entry(finding)
    return [*lines, "", _total(findings)]


def _heading(about: SendingDomain, finding: Finding) -> str:
    subject = finding.subject.upper() if finding.subject in ("dkim", "spf", "dmarc") else finding.subject.capitalize()
    delegated = about.cname_target and finding.name.endswith(f".{about.cname_target}")
    return f"{subject}, in the operator's zone {about.cname_target}" if delegated else subject


def _entry(finding: Finding) -> list[str]:
    mark, colour = _MARKS[finding.status]
    title = " ".join(part for part in (printable(finding.name), finding.kind) if part)
    lines = [f"  {click.style(mark, fg=colour)} {click.style(title, bold=finding.status != 'ok')}"]
    lines += _wrapped(finding.text, "    ", dim=finding.status == "ok")
    if finding.status != "ok" and (finding.wanted or finding.observed):
        lines += [f"      {'expected':<9} {_shortened(finding.wanted)}"] if finding.wanted else []
        observed = [_shortened(value) for value in finding.observed] or ["nothing"]
        lines += [f"      {'observed' if index == 0 else '':<9} {value}" for index, value in enumerate(observed)]
    return lines


def _total(findings: Iterable[Finding]) -> str:
    counted = Counter(finding.status for finding in findings)
    words = {"wrong": "wrong", "unknown": "not answered", "warning": "to check", "ok": "correct"}
    parts = [f"{counted[status]} {word}" for status, word in words.items() if counted[status]]  # type: ignore[index]
    if not counted["wrong"] and not counted["unknown"]:
        return click.style(f"All records are there. {', '.join(parts).capitalize()}.", bold=True)
    return click.style(f"{', '.join(parts)}.", bold=True)


def _wrapped(text: str, indent: str, *, dim: bool = False) -> list[str]:
    """Return the text in lines. Names with hyphens are not broken, so that they can be copied."""
    wrapped = textwrap.wrap(
        printable(text), _WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip
    return [click.style(line, dim=True) for line in wrapped] if dim else wrapped


def _shortened(value: str) -> str:
    """Return a value that fits on a line, with beginning and end, which identify a key."""
    text = printable(value)
    return text if len(text) <= _WIDTH else f"{text[:50]}…{text[-20:]} ({len(text)} characters)"
