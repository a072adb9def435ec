"""Recipients of events, and the labels of their messages: SQL and its values."""

import json
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain

from relay.events.event import Event
from relay.mail.lane import SIMULATOR_PREFIX
from relay.storage.bulk_insert import batched
from relay.storage.database import Connection
from relay.storage.json_columns import decode_list, decode_strings
from relay.storage.rows import AT_ONCE

_MARKED = f"CASE WHEN substr(lane, 1, {len(SIMULATOR_PREFIX)}) = '{SIMULATOR_PREFIX}' THEN ' ' ELSE '' END || recipient"
"""A recipient, behind a space when it is simulated: no address begins with one, and it needs no list of its own."""

_LABELS = "campaign || '\n' || tags || '\n' || metadata"
"""Tags and metadata are JSON, which has no line feeds."""

_UNLABELLED = "\n\n"


@lru_cache(maxsize=16)
def recipients_statement(count: int) -> str:
    """Return the statement that finds so many recipients, by the place, queue id and number of each.

    Its one row has lists of places, recipients and labels: SQLite's driver releases the GIL for each row. Outer
    joins keep the planner from reading the tables first.
    """
    wanted = ", ".join(["(?, ?, ?)"] * count)
    lists = ", ".join(f"CAST(json_group_array({values}) AS TEXT)" for values in ("place", _MARKED, _LABELS))
    return (
        f"WITH wanted (place, queue_id, number) AS (VALUES {wanted}) SELECT {lists} FROM wanted "  # noqa: S608  places
        "LEFT JOIN entries ON entries.queue_id = wanted.queue_id AND entries.number = wanted.number "
        "LEFT JOIN messages ON messages.queue_id = entries.queue_id"
    )


def with_recipients(raw: Connection, events: Sequence[Event]) -> list[Event]:
    """Return the events; those without an address get the stored one, and the labels of their message."""
    named = list(events)
    wanted = [(place, event.queue_id, event.number) for place, event in enumerate(events) if not event.address]
    for some in batched(wanted, AT_ONCE):
        lists = raw.execute(recipients_statement(len(some)), [*chain.from_iterable(some)]).fetchone()
        for place, recipient, labels in zip(*map(json.loads, lists), strict=True):
            if recipient is not None:
                named[place] = _with_recipient(events[place], recipient, labels or _UNLABELLED)
    return named


def _with_recipient(event: Event, recipient: str, labels: str) -> Event:
    """Add address and labels. A new object costs half as much as `replace`."""
    about = event.labels if labels == _UNLABELLED else _labels(labels)
    if recipient.startswith(" "):
        data = {**event.data, "simulated": True}
        return Event(event.kind, event.at, event.queue_id, event.number, recipient[1:], data, about)
    return Event(event.kind, event.at, event.queue_id, event.number, recipient, event.data, about)


def _labels(text: str) -> dict[str, object]:
    """Return those of campaign, tags and metadata that a message has."""
    campaign, tags, metadata = text.rsplit("\n", 2)
    labels = {"campaign": campaign, "tags": decode_list(tags), "metadata": decode_strings(metadata)}
    return {name: value for name, value in labels.items() if value}
