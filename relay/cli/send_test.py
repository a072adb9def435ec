"""`relay send-test`: sends a small mail through one provider and tells each step."""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from relay.cli.client import AdminClient
from relay.cli.common import EX_NOPERM, EX_TEMPFAIL, EX_UNAVAILABLE, config_option, json_option, settings_or_exit
from relay.dsn.categories import CATEGORIES
from relay.dsn.classify import classify
from relay.dsn.rules_file import load_bounce_rules
from relay.mail.lane import DIRECT
from relay.mail.reply import parse_reply
from relay.queue.bounce_policy import guidance_text

_LOOK_EVERY = 0.2


_ADVICE = (
    ("delivery is paused", "mend what it says, then `relay provider resume {provider}` and test again"),
    ("AUTH was refused", "check username and password of the provider, then `relay config reload`"),
    ("no password is sent in clear text", 'set tls = "starttls" or "implicit" for the provider'),
    ("does not offer STARTTLS", 'use its port for tls = "implicit", mostly 465; or tls = "none", on loopback only'),
    ("TLS failed", "the host must be the one in its certificate; port 587 goes with starttls, 465 with implicit"),
    ("no connection", "check host and port, and that a firewall lets this machine out"),
    ("has no address", "check the name of the host: DNS knows none such"),
    ("no provider named", "add a [[provider]] of that name, or name another"),
    ("took longer than", "the server is slow, or its port is not one for mail: check host and port"),
)
"""What to do by what the reply says, for what the relay itself found out; the first that fits counts."""


@click.command("send-test")
@click.option("--provider", "provider", default="", help='A [[provider]], or "direct"; default: the default provider.')
@click.option("--from", "from_address", default="", help="Its From and reverse-path; default: alerts.from.")
@click.option("--to", "to_address", default="", help="Who gets it; default: the first of alerts.mail_to.")
@click.option("--timeout", default=60, show_default=True, type=click.IntRange(1, 600), help="Seconds to wait for it.")
@config_option
@json_option
def send_test(provider: str, from_address: str, to_address: str, timeout: int, path: Path, as_json: bool) -> None:
    """Send a test mail the way all mail goes (queue, rendering, signature, delivery), and tell each step.

    Exits with 0 when the other side took it, 75 when it failed for now, 69 when it was refused for good, 77 when the
    login was. A test that was not delivered is taken out of the queue again.
    """
    settings, client = settings_or_exit(path), AdminClient(path)
    name = provider or settings.defaults.provider
    if not (to_address or settings.alerts.mail_to):
        raise click.UsageError("there is nobody to send it to: give --to ADDRESS, or set alerts.mail_to")
    sent = client.post(f"/providers/{name}/test", body={"from": from_address, "to": to_address})
    _tell(as_json, {"event": "queued", **sent}, f"queued as {sent['queue_id']}: {sent['from']} to {sent['to']}")
    last: dict[str, Any] = {}
    for event in _events(client, sent["queue_id"], timeout):
        last = event
        _tell(as_json, event, _line(event))
    outcome, advice, code = verdict(last, name, explanation(last, path))
    if last.get("event") not in ("delivered", "bounced", "dropped"):
        client.post("/queue/delete", {"queue_id": sent["queue_id"]})
    _tell(as_json, {"event": "result", "outcome": outcome, "advice": advice, "exit": code}, outcome)
    if advice and not as_json:
        click.echo(f"what to do: {advice}")
    sys.exit(code)


def verdict(last: Mapping[str, Any], provider: str, explained: str) -> tuple[str, str, int]:
    """Return what the last event of a test comes to: in words, what to do, and the exit code."""
    reply = str(last.get("reply", ""))
    advice = next((text for phrase, text in _ADVICE if phrase in reply), explained).format(provider=provider)
    match last.get("event"):
        case "delivered":
            return f"{_called(provider)} works", "", 0
        case "bounced" | "dropped":
            return f"{_called(provider)} refused it: {reply or last.get('reason', '')}", advice, EX_UNAVAILABLE
        case "deferred":
            code = EX_NOPERM if "AUTH was refused: 5" in reply else EX_TEMPFAIL
            return f"{_called(provider)} does not work: {reply}", advice, code
        case "waiting":
            told = f"{_called(provider)} has no room before {last.get('release_at')}"
            return told, "its limits are used up: raise them, or wait; see `relay provider list`", EX_TEMPFAIL
        case _:
            return "there was no outcome in time", "look at it with `relay queue list` and the log", EX_TEMPFAIL


def explanation(event: Mapping[str, Any], path: Path) -> str:
    """Return what the category of a reply means for people, "" without a reply; braces are doubled for `format`."""
    reply = str(event.get("reply", ""))
    if not reply:
        return ""
    category = str(event.get("category", ""))
    if category not in CATEGORIES:
        parsed = parse_reply(int(reply[:3]), reply[4:])
        category = classify(load_bounce_rules(path), reply, parsed.code, parsed.status).category
    return guidance_text(CATEGORIES[category]).replace("{", "{{").replace("}", "}}")


def _events(client: AdminClient, queue_id: str, timeout: int) -> Iterator[dict[str, Any]]:
    """Yield the events of the test as they come, up to its outcome; a wait for room is an outcome too."""
    seen = 1
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        story = client.get(f"/queue/{queue_id}")
        for event in story["events"][seen:]:
            yield event
            if event["event"] in ("delivered", "bounced", "dropped", "deferred"):
                return
        seen = max(seen, len(story["events"]))
        (recipient,) = story["recipients"]
        if recipient["state"] == "waiting" and recipient["release_at"]:
            yield {"event": "waiting", "release_at": recipient["release_at"]}
            return
        time.sleep(_LOOK_EVERY)


def _line(event: Mapping[str, Any]) -> str:
    match event["event"]:
        case "processed":
            return f"rendered and signed, on its way ({event['lane']})"
        case "delivered":
            return f"taken by {event['remote']}: {event['reply']} (after {event['delay']:.2f} s)"
        case "waiting":
            return f"waits for room until {event['release_at']}"
        case kind:
            who = event.get("remote") or "nobody reached"
            return f"{kind} ({who}): {event.get('reply') or event.get('reason', '')}"


def _called(provider: str) -> str:
    return "direct delivery" if provider == DIRECT else f"provider {provider}"


def _tell(as_json: bool, form: Mapping[str, Any], line: str) -> None:
    click.echo(json.dumps(form) if as_json else "".join(char if char.isprintable() else " " for char in line))
