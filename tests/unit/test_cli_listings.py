"""Every listing shows all rows, or says that it is cut and goes on with --all."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from relay.cli import COMMANDS, main
from relay.events.event import Event, Kind
from relay.mail.queue_id import queue_id
from relay.people.ports import Change
from relay.queue.entry import Entry
from relay.queue.message import Message, NewMessage
from relay.render.message_policy import MessagePolicy
from relay.storage.store import Store
from relay.suppression.model import MANUAL, Suppression
from relay.suppression.unsubscribes import Unsubscribe
from tests.unit.admin_harness import NOW, AdminHarness, admin

__all__ = ["admin"]

MANY = 5
"""Rows of each listing, more than one page and one screen of these tests."""

CUT: dict[str, tuple[list[str], int]] = {
    "queue list": (["--recipient", "many@x.test"], MANY),
    "trace": (["many@x.test"], MANY),
    "report messages": (["--since", "2023-01-01", "--tag", "many"], MANY),
    "report untied": (["--since", "2023-01-01"], MANY),
    "report bounces": (["--since", "2023-01-01"], MANY),
    "report engagement": (["--since", "2023-01-01"], MANY),
}
"""Listings that are cut: arguments, and the number of all rows."""

WHOLE: dict[str, tuple[list[str], int]] = {
    "suppression list": ([], MANY),
    "suppression export": ([], MANY),
    "unsubscribe list": ([], MANY),
    "unsubscribe export": ([], MANY),
    "report bounces --messages": (["--since", "2023-01-01"], MANY),
    "report unclassified": (["--since", "2023-01-01"], MANY),
    "report invoices": (["--since", "2023-01-01", "--by", "tag"], 1),
    "person audit": (["--since", "2023-01-01"], MANY),
    "queue hold": (["--recipient", "many@x.test"], MANY),
}
"""Listings without an end: arguments, and the number of rows."""

BOUNDED = {
    *(
        "suppression replay",
        "report deliveries",
        "provider list",
        "identity list",
        "domain list",
        "nodes",
        "dkim list",
        "credential list",
        "webhook list",
        "site list",
        "oauth status",
        "imap folders",
        "person list",
    ),
    "tracker list",
    *("domain records", "domain check", "preview", "audit"),
}
"""Listings of what the configuration, DNS or one message has; nothing cuts them."""

NO_LISTING = {
    *("config show", "status", "queue show", "provider resume", "send-test", "storage check", "dkim rotate"),
    *("identity resume", "identity show", "identity test", "identity verify", "suppression add", "suppression remove"),
    *("suppression import", "unsubscribe add", "unsubscribe remove", "unsubscribe import"),
    *("tracker block", "tracker unblock", "explain", "credential revoke"),
    *("config describe", "doctor"),
    *("queue flush", "queue release", "queue delete", "queue bounce", "top"),
    *("webhook show", "webhook test", "webhook log", "events tail", "oauth logout", "site show", "site resume", "why"),
}


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


def test_every_command_with_json_lines_is_listed_here() -> None:
    assert isinstance(main, click.Group)
    found = {
        name for name, command in commands(main) if any("--json" in one.opts for one in command.get_params(_context()))
    }
    known = {*CUT, *WHOLE, *BOUNDED, *NO_LISTING} - {"report bounces --messages"}
    assert found - known == set()
    assert set(COMMANDS) >= {name.split()[0] for name in known}


def _context() -> click.Context:
    return click.Context(main)


async def fill_more(store: Store) -> None:
    """Store MANY messages, each with a bounced and a waiting recipient, a click, and a suppressed address."""
    for number in range(MANY):
        name = queue_id(NOW, 100 + number)
        message = Message(
            name,
            NOW + number,
            "app@acme.test",
            MessagePolicy(domain="acme.test"),
            message_id=f"<many{number}@acme.test>",
            tags=("many",),
            metadata={"not_forwarded": "untied"},
        )
        waiting = Entry(name, 0, "many@x.test", "mx:x.test", NOW, NOW + 1e6, NOW + 3600)
        refused = {"category": "unknown", "reply": f"550 reason {'abcdefgh'[number] * 9}", "rule": "code-550"}
        events = (
            Event(Kind.CREATED, NOW, name, 0, "many@x.test"),
            Event(Kind.CLICK, NOW + number, name, 0, "many@x.test", {"target": f"https://a.test/{number}"}),
            Event(Kind.BOUNCED, NOW + number, name, 0, "many@x.test", refused),
        )
        await store.queue.enqueue(NewMessage(message, b"\r\n", (waiting,), events))
        change = Change(f"c{number}", NOW, "jane@acme.test", "queue.hold", "Q", "waiting", "held", "192.0.2.7")
        await store.changes.record([change])
        address = f"u{number}@x.test"
        await store.suppressions.add([Suppression(address, "", MANUAL, created_at=NOW)])
        await store.unsubscribes.add([Unsubscribe(address, "acme.test", "", "operator", created_at=NOW)])


@pytest.fixture
async def config(admin: AdminHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration of a server whose pages and listings have two rows."""
    await fill_more(admin.store)
    for name in ("relay.admin.queue.MAX_STORIES", "relay.admin.reports.MAX_STORIES", "relay.cli.address_list.PAGE"):
        monkeypatch.setattr(name, 2)
    for name in ("relay.cli.status.MAX_TIMELINES", "relay.cli.report_messages.MAX_ROWS", "relay.cli.queue.MAX_ROWS"):
        monkeypatch.setattr(name, 2)
    monkeypatch.setattr("relay.cli.person.PAGE", 2)
    for name in ("relay.admin.reports.WORST", "relay.admin.reports.MAX_LINKS"):
        monkeypatch.setattr(name, 2)
    file = tmp_path / "relay.toml"
    file.write_text(f'[server]\nhostname = "relay.test"\ndata_dir = "{tmp_path}"\n')
    return file


async def run(config: Path, command: str, *arguments: str) -> Result:
    result = await asyncio.to_thread(
        CliRunner().invoke, main, [*command.split(), *arguments, "-c", str(config)], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    return result


def rows(command: str, result: Result) -> int:
    """Return the number of rows in the JSON of a listing."""
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    match command:
        case "report bounces":
            return len(lines[0]["replies"])
        case "report engagement":
            return len(lines[0]["links"])
    return len(lines)


@pytest.mark.parametrize("command", CUT)
async def test_a_listing_that_is_cut_says_so_and_all_shows_the_rest(config: Path, command: str) -> None:
    arguments, number = CUT[command]
    limit = ["--limit", "2"] if command == "queue list" else []
    for output in ([], ["--json"]):
        cut = await run(config, command, *arguments, *limit, *output)
        assert "are shown" in cut.stderr
        assert "--all shows all" in cut.stderr
        whole = await run(config, command, *arguments, "--all", *output)
        assert "are shown" not in whole.stderr
    assert (rows(command, cut), rows(command, whole)) == (2, number)


@pytest.mark.parametrize("command", WHOLE)
async def test_other_listings_show_all(config: Path, command: str) -> None:
    arguments, number = WHOLE[command]
    result = await run(config, command, *arguments, "--json")
    assert "are shown" not in result.stderr
    assert rows(command, result) == number


async def test_a_listing_of_exactly_one_screen_is_not_cut(config: Path, admin: AdminHarness) -> None:
    result = await run(config, "queue list", "--recipient", "many@x.test", "--limit", str(MANY), "--json")
    assert rows("queue list", result) == MANY
    assert "are shown" not in result.stderr
