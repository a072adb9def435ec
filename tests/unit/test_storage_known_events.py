"""What the comparison with stored events costs: each message is read once, however many of its events come again."""

import sqlite3
from collections.abc import Iterator

import pytest

from relay.events.event import Event, Kind
from relay.storage.events import stored_keys
from relay.storage.sqlite import schema

QUEUE_ID = "0ABCDFGHJKLMNP"


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    raw = sqlite3.connect(":memory:", isolation_level=None)
    for sql in schema.migrations().values():
        raw.executescript(sql)
    yield raw
    raw.close()


def opens(recipients: int) -> list[Event]:
    return [
        Event(Kind.OPEN, 1000.0 + number, QUEUE_ID, number, data={"id": f"{number:x}"}) for number in range(recipients)
    ]


def steps(raw: sqlite3.Connection, events: list[Event]) -> int:
    """Return the thousands of instructions of SQLite's machine for the comparison of events."""
    count = 0

    def counted() -> int:
        nonlocal count
        count += 1
        return 0

    raw.set_progress_handler(counted, 1000)
    assert len(stored_keys(raw, events)) == len(events)
    raw.set_progress_handler(None, 0)
    return count


def test_a_newsletter_whose_events_come_again_is_read_once(database: sqlite3.Connection) -> None:
    events = opens(2000)
    database.executemany(
        "INSERT INTO events (at, kind, queue_id, number, address, data) VALUES (?, ?, ?, ?, ?, ?)",
        [(one.at, one.kind.value, one.queue_id, one.number, "", f'{{"id":"{one.number:x}"}}') for one in events],
    )
    few, many = steps(database, events[:50]), steps(database, events[:500])
    assert many < 2 * few
