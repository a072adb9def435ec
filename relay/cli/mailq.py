"""`relay mailq`, and the other forms of the queue that programs for Postfix read: `postqueue -j`, `qshape`."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from relay.cli.client import AdminClient
from relay.cli.common import config_option, printable
from relay.cli.listings import Listing
from relay.clock import system_clock

_HEADER = "----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------"

_MARKS = {"processed": "*", "held": "!"}
"""Marks of postqueue behind a queue id: active and held."""

_QUEUES = {"processed": "active", "held": "hold"}
"""Names of the queues of Postfix by status; all others wait in "deferred"."""

_REASON_WIDTH = 76
"""Columns that a reason ends before."""

AGES = (5, 10, 20, 40, 80, 160, 320, 640, 1280)
"""Minutes: upper bounds of the columns of a shape, as of qshape."""

Entry = Mapping[str, Any]
"""An entry of `GET /queue`."""


@click.command()
@config_option
def mailq(path: Path) -> None:
    """List the messages in the queue in the layout of Postfix (`postqueue -p`): * is active, ! is held."""
    for line in mailq_lines(open_entries(path)):
        click.echo(line)


@click.command("shape")
@click.option("-s", "--senders", is_flag=True, help="By the domain of the sender, not of the recipient.")
@click.option("-w", "--width", default=30, show_default=True, type=click.IntRange(10, 200), help="Columns of the name.")
@config_option
def shape(senders: bool, width: int, path: Path) -> None:
    """Show the entries of the queue by domain and age, in the layout of qshape: minutes since they arrived."""
    key = "reverse_path" if senders else "recipient"
    for line in shape_lines(open_entries(path), key, width, system_clock()):
        click.echo(line)


def open_entries(path: Path) -> Iterator[Entry]:
    """Yield all entries that are not final, by queue id."""
    return Listing("/queue", "entries", "after", "first").rows(AdminClient(path), {"limit": "1000"}, None)


def mailq_lines(entries: Iterable[Entry]) -> Iterator[str]:
    """Yield the lines of `postqueue -p`. The entries of a message follow each other."""
    octets = messages = 0
    for _, group in groupby(entries, key=lambda one: one["queue_id"]):
        first, *others = group
        if not messages:
            yield _HEADER
        yield _message_line(first)
        for why, recipients in _by_reason([first, *others]).items():
            if why:
                yield f"({why})".rjust(_REASON_WIDTH)
            yield from (f"{'':47}{recipient}" for recipient in recipients)
        yield ""
        octets += first["size"]
        messages += 1

    if not messages:
        yield "Mail queue is empty"
        return
    yield f"-- {octets // 1024} Kbytes in {messages} Request{'' if messages == 1 else 's'}."


def postqueue_members(entry: Entry) -> dict[str, object]:
    """Return an entry as the members that `postqueue -j` has for a message with this recipient alone."""
    why = _reason(entry)
    recipient = {"address": entry["recipient"], **({"delay_reason": why} if why else {})}
    return {
        "queue_name": _QUEUES.get(entry["status"], "deferred"),
        "arrival_time": int(_arrival(entry).timestamp()),
        "message_size": entry["size"],
        "sender": entry["reverse_path"] or "MAILER-DAEMON",
        "recipients": [recipient],
    }


def shape_lines(entries: Iterable[Entry], key: str, width: int, now: float) -> Iterator[str]:
    """Yield the lines of qshape: a total, then the domains with most entries first, by age in minutes."""
    counts: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for entry in entries:
        age = (now - _arrival(entry).timestamp()) / 60
        column = sum(age > bound for bound in AGES)
        domain = entry[key].rpartition("@")[2].lower() or "MAILER-DAEMON"
        counts[domain][column] += 1
        counts[""][column] += 1

    titles = ["T", *map(str, AGES), f"{AGES[-1]}+"]
    named = sorted(counts.items(), key=lambda item: (bool(item[0]), -item[1].total(), item[0]))
    rows = [(name or "TOTAL", _columns(found)) for name, found in named] or [("TOTAL", _columns(Counter()))]
    widths = [max(len(title), *(len(cells[index]) for _, cells in rows)) for index, title in enumerate(titles)]
    for name, cells in [("", titles), *rows]:
        numbers = (cell.rjust(wide) for cell, wide in zip(cells, widths, strict=True))
        yield f"{printable(name)[:width].rjust(width)} {' '.join(numbers)}"


def _columns(found: Counter[int]) -> Sequence[str]:
    return [str(found.total()), *(str(found[column]) for column in range(len(AGES) + 1))]


def _message_line(entry: Entry) -> str:
    name = entry["queue_id"] + _MARKS.get(entry["status"], "")
    arrival = _arrival(entry).astimezone().strftime("%a %b %d %H:%M:%S")
    return f"{name:<17} {entry['size']:>8} {arrival:>19} {printable(entry['reverse_path']) or 'MAILER-DAEMON'}"


def _by_reason(entries: Iterable[Entry]) -> Mapping[str, list[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for entry in entries:
        found[_reason(entry)].append(printable(entry["recipient"]))
    return found


def _reason(entry: Entry) -> str:
    return printable(entry["reason"] or entry["reply"] or "")


def _arrival(entry: Entry) -> datetime:
    return datetime.fromisoformat(entry["created_at"])
