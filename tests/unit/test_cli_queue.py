"""`relay queue hold` and its siblings change every matching entry, however many there are."""

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner

from relay.cli.queue import queue
from relay.events.event import Event
from relay.mail.queue_id import queue_id
from relay.queue.entry import Entry, State
from relay.queue.message import Message, NewMessage
from relay.queue.ports import EntryQuery
from relay.storage.store import Store
from tests.unit.admin_harness import NOW, AdminHarness, admin

__all__ = ["admin"]

MANY = 1200
"""More entries than one response of the admin API has."""

LATER = queue_id(NOW, 3)


async def fill_more(store: Store) -> None:
    entries = tuple(
        Entry(LATER, number, f"u{number}@x.test", "mx:x.test", NOW, NOW + 1e6, NOW + 3600) for number in range(MANY)
    )
    await store.queue.enqueue(NewMessage(Message(LATER, NOW, "app@acme.test"), b"\r\n", entries, tuple[Event, ...]()))


@pytest.mark.parametrize(
    ("action", "selection", "count", "done"),
    [("hold", ["--all"], MANY + 3, "held"), ("delete", ["--lane", "mx:x.test"], MANY + 2, "dropped")],
)
async def test_all_matching_entries_are_changed(
    admin: AdminHarness, tmp_path: Path, action: str, selection: list[str], count: int, done: str
) -> None:
    await fill_more(admin.store)
    config = tmp_path / "relay.toml"
    config.write_text(f'[server]\nhostname = "relay.test"\ndata_dir = "{tmp_path}"\n')

    arguments = [action, *selection, "--config", str(config)]
    result = await asyncio.to_thread(CliRunner().invoke, queue, arguments, catch_exceptions=False)
    assert result.output.splitlines()[-1] == f"{count} {done}"

    left = await admin.store.queue.entries(EntryQuery(states=(State.WAITING,), limit=2 * MANY))
    assert len(left) == MANY + 3 - count
