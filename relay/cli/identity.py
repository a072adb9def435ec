"""`relay identity`: lists, tests and verifies From addresses."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from relay.cli.client import AdminClient
from relay.cli.common import EX_TEMPFAIL, config_option, json_option, printable, show
from relay.cli.identity_files import add_command, remove_command

NEEDED = ("sending", "receiving", "tracking")
"""Steps that every identity must pass."""

STEPS = (*NEEDED, "cc")

STEP_SECONDS = 180.0
"""Seconds to wait for a step, in which mail may take a minute in each direction."""

COLUMNS = (
    ("ADDRESS", "address"),
    ("NAME", "name"),
    ("HOUR", "hour"),
    ("DAY", "day"),
    ("NEXT RELEASE", "next_release_at"),
    ("SENDING", "sending"),
    ("RECEIVING", "receiving"),
    ("TRACKING", "tracking"),
    ("VERIFIED", "verified"),
    ("STATE", "state"),
)

_MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "wrong": ("✗", "red")}

_to_option = click.option(
    "--to", multiple=True, metavar="ADDRESS", help="Recipient of the test mail instead of the default; repeatable."
)


@click.group()
def identity() -> None:
    """Add, list, test and verify identities."""


identity.add_command(add_command)

identity.add_command(remove_command)


@identity.command("list")
@config_option
@json_option
def list_command(path: Path, as_json: bool) -> None:
    """List identities with their use of the limits, and the time at which each step was verified."""
    found: list[dict[str, Any]] = AdminClient(path).get("/identities")["identities"]
    show(found if as_json else map(_line, found), COLUMNS, as_json=as_json)


@identity.command("show")
@click.argument("address")
@config_option
@json_option
def show_command(address: str, path: Path, as_json: bool) -> None:
    """Show one identity with its limits, verification steps and CC tracking address."""
    found: dict[str, Any] = AdminClient(path).get(f"/identities/{address}")
    if as_json:
        click.echo(json.dumps(found))
        return
    click.echo(click.style(found["address"], bold=True))
    for title, value in _facts(found):
        if value:
            click.echo(f"  {title:<14} {printable(value)}")
    for step in found["steps"]:
        click.echo(f"  {step['step']:<14} {step['state']} {_time(step['at'])}: {printable(step['detail'])}")


@identity.command("test")
@click.argument("address")
@config_option
@_to_option
@json_option
def test_command(address: str, path: Path, to: tuple[str, ...], as_json: bool) -> None:
    """Test an identity: send and check a test mail, confirm a code, check tracking, and the forwarder of its mailbox.

    Exits with 1 if a step failed, with 75 while a code is not confirmed. A mailbox without forwarder is no failure.
    """
    _run(AdminClient(path), address, STEPS, to, as_json=as_json)


@identity.command("verify")
@click.argument("address")
@config_option
@click.option("--step", type=click.Choice(STEPS), help="Run this step of the test instead.")
@click.option("--otp", metavar="CODE", help="The code in the mail.")
@click.option("--dns", "by_dns", is_flag=True, help="Verify the domain by its DKIM key in DNS.")
@_to_option
@json_option
def verify_command(
    address: str, path: Path, step: str | None, otp: str | None, by_dns: bool, to: tuple[str, ...], as_json: bool
) -> None:
    """Verify an address, so that it may send campaign mail: by a code sent to that address, or by DNS.

    Exits with 1 if the step failed, with 75 while a code is not confirmed.
    """
    client = AdminClient(path)
    if sum(map(bool, (step, otp, by_dns))) > 1:
        raise click.UsageError("--step, --otp and --dns exclude each other")
    if otp:
        _end(
            [_print(client.post(f"/identities/{address}/code", body={"code": otp}), as_json=as_json)],
            as_json=as_json,
        )
    if by_dns:
        answer = client.post(f"/identities/{address}/dns", seconds=STEP_SECONDS)
        _end([_print(answer, as_json=as_json)], as_json=as_json)
    if step:
        _run(client, address, [step], to, as_json=as_json)
    answer = client.post(f"/identities/{address}/verify", seconds=STEP_SECONDS)
    _end([_with_code(client, address, _print(answer, as_json=as_json), as_json=as_json)], as_json=as_json)


@identity.command("unverify")
@click.argument("address")
@config_option
def unverify_command(address: str, path: Path) -> None:
    """Withdraw the verification of an address. Exits with 1 if the DNS of its domain still verifies it."""
    answer = AdminClient(path).post(f"/identities/{address}/unverify")
    if answer["verified"]:
        click.echo(f"{answer['address']} is still verified by DNS: remove the DKIM selectors of its domain", err=True)
        sys.exit(1)
    click.echo(f"{answer['address']} is not verified any more")


@identity.command("pause")
@click.argument("address")
@click.option("--reason", default="", metavar="TEXT", help="Stands in replies, in the log and in lists.")
@config_option
def pause_command(address: str, reason: str, path: Path) -> None:
    """Pause an identity: its mail is refused with 451, and its queued mail waits, until it is resumed."""
    answer = AdminClient(path).post(f"/identities/{address}/pause", body={"reason": reason})
    click.echo(f"{answer['address']} is paused" if answer["paused"] else f"{answer['address']} is paused already")


@identity.command("resume")
@click.argument("address")
@config_option
@json_option
def resume_command(address: str, path: Path, as_json: bool) -> None:
    """End the pause of an identity. Its mail is accepted again, and what waited is sent now."""
    answer = AdminClient(path).post(f"/identities/{address}/resume")
    if as_json:
        click.echo(json.dumps(answer))
    elif answer["resumed"]:
        click.echo(f"{answer['address']} sends again; {answer['entries']} waiting recipients are due now")
    else:
        click.echo(f"{answer['address']} is not paused")


def _run(client: AdminClient, address: str, steps: Sequence[str], to: tuple[str, ...], *, as_json: bool) -> None:
    """Run steps one after another, print the result of each, and exit."""
    results = []
    for step in steps:
        if not as_json:
            click.echo(click.style(f"{_title(step)} …", bold=True))
        body = {"to": list(to)} if to and step == "sending" else None
        answer = client.post(f"/identities/{address}/test/{step}", body=body, seconds=STEP_SECONDS)
        results.append(_with_code(client, address, _print(answer, as_json=as_json), as_json=as_json))
    _end([one for one in results if not _is_unset(one)] or results, as_json=as_json)


def _is_unset(result: dict[str, Any]) -> bool:
    """Whether it is the CC step of a mailbox without forwarder, which most identities do not need."""
    is_wrong = any(remark["status"] == "wrong" for remark in result["remarks"])
    return result["step"] == "cc" and result["state"] == "failed" and not is_wrong


def _title(step: str) -> str:
    return {"dns": "Domain", "sender": "Address", "cc": "CC tracking"}.get(step, step.capitalize())


def _with_code(client: AdminClient, address: str, result: dict[str, Any], *, as_json: bool) -> dict[str, Any]:
    """Return the result after prompting for the code, if one is pending and there is a terminal."""
    if result["state"] != "pending" or as_json or not sys.stdin.isatty():
        return result
    return _ask_for_code(client, address, result)


def _ask_for_code(client: AdminClient, address: str, result: dict[str, Any]) -> dict[str, Any]:
    """Prompt for the code until it is correct; after empty input check if the link was used."""
    step = result["step"]
    while result["state"] != "passed":
        code = click.prompt("  The code (Enter alone if you used the link, q to skip)", default="", show_default=False)
        if code.strip().lower() == "q":
            return result
        if code.strip():
            result = _print(client.post(f"/identities/{address}/code", body={"code": code.strip()}), as_json=False)
            continue
        steps = client.get(f"/identities/{address}")["steps"]
        if any(one["step"] == step and one["state"] == "passed" for one in steps):
            result = result | {"state": "passed"}
            click.echo("  ✓ the link was used")
    return result


def _print(result: dict[str, Any], *, as_json: bool) -> dict[str, Any]:
    """Print the result of a step, and return it."""
    if as_json:
        click.echo(json.dumps(result))
        return result

    for remark in result["remarks"]:
        mark, colour = _MARKS[remark["status"]]
        click.echo(f"  {click.style(mark, fg=colour)} {printable(remark['text'])}")
        if remark["fix"]:
            click.echo(f"      → {printable(remark['fix'])}")

    title = _title(result["step"])
    if _is_unset(result):
        click.echo(click.style(f"{title} is not set up", fg="yellow"))
    elif result["state"] == "passed":
        click.echo(click.style(f"{title} verified, {_time(result['at'])}", fg="green"))
    elif result["state"] == "failed":
        click.echo(click.style(f"{title} failed", fg="red"))
    return result


def _end(results: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    """Print the summary of the last step if all passed, and exit."""
    states = {result["state"] for result in results}
    verdict = next((result["verdict"] for result in reversed(results) if result["verdict"]), "")
    if states == {"passed"} and verdict and not as_json:
        click.echo(f"\n{verdict}")
    sys.exit(1 if "failed" in states else EX_TEMPFAIL if "pending" in states else 0)


def _line(found: dict[str, Any]) -> dict[str, object]:
    """Return the row of an identity."""
    since = {step["step"]: _time(step["at"]) if step["state"] == "passed" else step["state"] for step in found["steps"]}
    return {
        "address": found["address"],
        "name": found["display_name"] or found["company"],
        "hour": _used(found["used_hour"], found["hourly_limit"]),
        "day": _used(found["used_day"], found["daily_limit"]),
        "next_release_at": _time(found["next_release_at"]),
        **{step: since.get(step, "-") for step in NEEDED},
        "verified": "yes" if found["verified"] else "no",
        "state": "paused" if found["paused_since"] else "ok",
    }


def _facts(found: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Return the properties of an identity as titles and texts."""
    by = {"mail": "a code in a mail", "dns": "the DNS of its domain"}.get(found["verified_by"], "")
    yield "name", " ".join(filter(None, (found["display_name"], f"({found['company']})" if found["company"] else "")))
    yield "listed", "" if found["listed"] else "no: it is not in the configuration"
    yield "verified", f"yes, by {by}" if found["verified"] else f"no: relay identity verify {found['address']}"
    if found["paused_since"]:
        yield "paused", f"since {_time(found['paused_since'])}: {found['paused_because']}"
    yield "forward to", ", ".join(found["forward_to"])
    yield "reply to", f"{found['reply_to']} (fixed: replies are not tracked)" if found.get("reply_to") else ""
    yield "answers", found.get("answers", "")
    yield "provider", found["provider"]
    yield "last hour", _used(found["used_hour"], found["hourly_limit"])
    yield "last day", _used(found["used_day"], found["daily_limit"])
    yield "waiting", str(found["waiting"] or "")
    yield "next release", _time(found["next_release_at"])
    yield "CC tracking", found["cc_address"]


def _used(used: int | None, limit: int) -> str:
    return f"{used or 0} of {limit}" if limit else "no limit"


def _time(at: str | None) -> str:
    """Return a time of the API in local time."""
    return datetime.fromisoformat(at).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z") if at else ""
