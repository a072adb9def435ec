"""Which message and recipient a report is about, over a real store."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from relay.dsn.report import Recipient, Report
from relay.inbound.correlate import match_report
from relay.mail.queue_id import queue_id
from relay.queue.entry import Entry, State
from relay.queue.message import Message, NewMessage
from relay.render.message_policy import MessagePolicy
from relay.storage.sqlite.store import SqliteStore

NOW = 1_800_000_000.0

HOST = "relay.test"

FIRST, SECOND = queue_id(NOW, 1), queue_id(NOW, 2)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """Two messages with one Message-ID, to ada and to ben and cay."""
    store = await SqliteStore.open(tmp_path / "relay.db", now=NOW)
    for number, addresses in ((FIRST, ["ada@rcpt.test"]), (SECOND, ["ben@rcpt.test", "cay@rcpt.test"])):
        message = Message(number, NOW, "news@acme.test", MessagePolicy("acme.test"), message_id="<77@acme.test>")
        entries = tuple(
            Entry(number, at, address, "mx:rcpt.test", NOW, NOW + 9, NOW, state=State.DELIVERED)
            for at, address in enumerate(addresses)
        )
        await store.queue.enqueue(NewMessage(message, b"x", entries))
    yield store
    await store.close()


def trace(host: str, number: str) -> tuple[str, str]:
    return "received", f"from app ([192.0.2.7])\n\tby {host} (relay) with ESMTPSA id {number}\n\tfor <x@y.test>"


async def matched(store: SqliteStore, *failed: str, returned: Sequence[tuple[str, str]]) -> list[str]:
    message_id = next((value for name, value in returned if name == "message-id"), "")
    recipients = tuple(Recipient(address, "failed") for address in failed)
    report = Report("bounce", recipients, message_id=message_id, returned=tuple(returned))
    return [subject.address for subject, _ in await match_report(store.reports, report, "", HOST)]


ID = ("message-id", "<77@acme.test>")


async def test_of_several_messages_with_one_id_the_one_that_was_sent_to_the_recipient(store: SqliteStore) -> None:
    assert await matched(store, "Ada@rcpt.test", returned=[ID]) == ["ada@rcpt.test"]
    assert await matched(store, "ben@rcpt.test", returned=[ID]) == ["ben@rcpt.test"]
    assert await matched(store, "eve@rcpt.test", returned=[ID]) == []


async def test_without_a_message_id_the_received_field_of_this_host_names_the_message(store: SqliteStore) -> None:
    assert await matched(store, "cay@rcpt.test", returned=[trace("RELAY.test", SECOND)]) == ["cay@rcpt.test"]
    assert await matched(store, "cay@rcpt.test", returned=[("message-id", "<x@y>"), trace(HOST, SECOND)]) == [
        "cay@rcpt.test"
    ]
    for returned in ([trace(HOST, FIRST)], [trace("other.test", SECOND)], [trace(HOST, "no-id")], []):
        assert await matched(store, "cay@rcpt.test", returned=returned) == []


async def test_a_report_about_a_further_address_is_about_the_only_recipient_in_the_header(store: SqliteStore) -> None:
    to_ada, to_eve = ("to", "Ada <ada@rcpt.test>, eve@rcpt.test"), ("to", "eve@rcpt.test")
    assert await matched(store, "ada@elsewhere.test", returned=[trace(HOST, FIRST), to_ada]) == ["ada@rcpt.test"]
    assert await matched(store, "ada@elsewhere.test", returned=[trace(HOST, FIRST), to_eve]) == []
    assert await matched(store, "ada@elsewhere.test", returned=[trace(HOST, FIRST)]) == []
    assert await matched(store, "x@e.test", "y@e.test", returned=[trace(HOST, FIRST), to_ada]) == []
    assert await matched(store, "x@e.test", returned=[trace(HOST, SECOND), ("to", "ben@rcpt.test")]) == []
