"""`relay send-test`: sends a test mail through one provider and prints each step."""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from relay.cli.client import AdminClient
from relay.cli.common import (
    EX_NOPERM,
    EX_TEMPFAIL,
    EX_UNAVAILABLE,
    config_option,
    json_option,
    printable,
    settings_or_exit,
)
from relay.cli.oauth import token_text
from relay.dsn.categories import CATEGORIES
from relay.dsn.classify import Classification, classify
from relay.dsn.rules_file import load_bounce_rules
from relay.mail.lane import DIRECT
from relay.mail.reply import parse_reply

_POLL_INTERVAL = 0.2
"""Seconds between two requests for the events of the test."""

_NO_LOGIN = ("AUTH was refused: 5", "no access token from")
"""Phrases of replies that mean that the account cannot log in."""

_ADVICE = (
    ("delivery is paused", "correct the cause, then run `relay provider resume {provider}` and test again"),
    ("AUTH was refused", "check username and password of the provider, then run `relay config reload`"),
    ("no password is sent in clear text", 'set tls = "starttls" or "implicit" for the provider'),
    ("does not offer STARTTLS", 'use the port for tls = "implicit", usually 465; or tls = "none", on loopback only'),
    ("TLS failed", "the certificate must match the host; use port 587 with starttls, port 465 with implicit"),
    ("no connection", "check host, port, and the firewall for outgoing connections"),
    ("has no address", "check the host name: it is not in DNS"),
    ("no provider named", "add a [[provider]] with this name, or use another name"),
    ("took longer than", "the server is slow, or the port is not for mail: check host and port"),
)
"""Action to take by a phrase of the reply, for errors that the relay itself detects. The first match counts."""


@click.command("send-test")
@click.option("--provider", "provider", default="", help='A [[provider]], or "direct"; default: the default provider.')
@click.option("--from", "from_address", default="", help="From and reverse-path; default: alerts.from.")
@click.option("--to", "to_address", default="", help="Recipient; default: the first of alerts.mail_to.")
@click.option(
    "--timeout", default=60, show_default=True, type=click.IntRange(1, 600), help="Seconds to wait for the outcome."
)
@config_option
@json_option
def send_test(provider: str, from_address: str, to_address: str, timeout: int, path: Path, as_json: bool) -> None:
    """Send a test mail through queue, rendering, signing and delivery like any other mail, and print each step.

    Exits with 0 if it was accepted, 75 if it was deferred, 69 if it was refused, 77 if the login was refused. A test
    that was not delivered is deleted from the queue.
    """
    settings, client = settings_or_exit(path), AdminClient(path)
    name = provider or settings.defaults.provider
    if not (to_address or settings.alerts.mail_to):
        raise click.UsageError("there is no recipient: give --to ADDRESS, or set alerts.mail_to")

    sent = client.post(f"/providers/{name}/test", body={"from": from_address, "to": to_address})
    _print(as_json, {"event": "queued", **sent}, f"queued as {sent['queue_id']}: {sent['from']} to {sent['to']}")
    if (account := settings.provider(name)) is not None and account.oauth is not None:
        state = client.post(f"/oauth/{name}/token", seconds=90)
        _print(as_json, {"event": "token", **state}, token_text(state))
    last: dict[str, Any] = {}
    for event in _events(client, sent["queue_id"], timeout):
        last = event
        _print(as_json, event, _line(event))

    found = classified(last, path)
    outcome, advice, code = verdict(
        last, name, found.guidance if found else "", is_exact=bool(found and found.rule_guidance)
    )
    if last.get("event") not in ("delivered", "bounced", "dropped", "held"):
        client.post("/queue/delete", {"queue_id": sent["queue_id"]})
    _print(as_json, {"event": "result", "outcome": outcome, "advice": advice, "exit": code}, outcome)
    if advice and not as_json:
        click.echo(f"what to do: {advice}")
    sys.exit(code)


def verdict(last: Mapping[str, Any], provider: str, explained: str, *, is_exact: bool = False) -> tuple[str, str, int]:
    """Return the result of a test by its last event: text, action to take, and exit code.

    `explained` is the guidance of the reply; `is_exact` if it is that of this reply, and not of its category.
    """
    reply = str(last.get("reply", ""))
    usual = None if is_exact else next((text for phrase, text in _ADVICE if phrase in reply), None)
    advice = explained if usual is None else usual.format(provider=provider)
    match last.get("event"):
        case "delivered":
            return f"{_provider_name(provider)} works", "", 0
        case "bounced" | "dropped" | "held":
            return f"{_provider_name(provider)} refused it: {reply or last.get('reason', '')}", advice, EX_UNAVAILABLE
        case "deferred":
            code = EX_NOPERM if any(phrase in reply for phrase in _NO_LOGIN) else EX_TEMPFAIL
            return f"{_provider_name(provider)} does not work: {reply}", advice, code
        case "waiting":
            text = f"{_provider_name(provider)} has no capacity before {last.get('release_at')}"
            return text, "its limits are used up: raise them, or wait; see `relay provider list`", EX_TEMPFAIL
        case _:
            return "there was no outcome in time", "check `relay queue list` and the log", EX_TEMPFAIL


def classified(event: Mapping[str, Any], path: Path) -> Classification | None:
    """Return the meaning of the reply of an event, None without a reply."""
    reply = str(event.get("reply", ""))
    if not reply:
        return None
    parsed = parse_reply(int(reply[:3]), reply[4:])
    found = classify(load_bounce_rules(path), reply, parsed.code, parsed.status, str(event.get("phase", "")))
    category = str(event.get("category", ""))
    return replace(found, category=category) if category in CATEGORIES else found


def _events(client: AdminClient, queue_id: str, timeout: int) -> Iterator[dict[str, Any]]:
    """Yield the events of the test up to its outcome; waiting for capacity is an outcome too."""
    seen = 1
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        story = client.get(f"/queue/{queue_id}")
        for event in story["events"][seen:]:
            yield event
            if event["event"] in ("delivered", "bounced", "dropped", "held", "deferred"):
                return
        seen = max(seen, len(story["events"]))
        (recipient,) = story["recipients"]
        if recipient["state"] == "waiting" and recipient["release_at"]:
            yield {"event": "waiting", "release_at": recipient["release_at"]}
            return
        time.sleep(_POLL_INTERVAL)


def _line(event: Mapping[str, Any]) -> str:
    match event["event"]:
        case "processed":
            return f"rendered and signed, delivery started ({event['lane']})"
        case "delivered":
            return f"accepted by {event['remote']}: {event['reply']} (after {event['delay']:.2f} s)"
        case "waiting":
            return f"waits for capacity until {event['release_at']}"
        case kind:
            remote = event.get("remote") or "no server reached"
            return f"{kind} ({remote}): {event.get('reply') or event.get('reason', '')}"


def _provider_name(provider: str) -> str:
    return "direct delivery" if provider == DIRECT else f"provider {provider}"


def _print(as_json: bool, form: Mapping[str, Any], line: str) -> None:
    click.echo(json.dumps(form) if as_json else printable(line))
