"""`relay queue bounce` and `relay top` against a running relay; progress bars on a terminal."""

import json
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from relay.cli.progress import with_progress
from tests.integration.unsubscribe_relay import Relay
from tests.servers.sink import Sink
from tests.servers.waiting import until

LATER = (datetime.now(UTC) + timedelta(days=20)).isoformat()


async def test_bounced_entries_are_returned_to_their_sender(tmp_path: Path) -> None:
    async with Sink() as sink, Relay(tmp_path, sink) as relay:
        kept = await relay.send(to="kept@rcpt.test", at=LATER)
        waiting = await relay.send(to="waiting@rcpt.test", at=LATER)
        held = await relay.send(to="held@rcpt.test", at=LATER)
        await relay.run("queue", "hold", held)

        before = (await relay.json("top", "--count", "1"))[0]
        assert before["queue"]["waiting"] == 2
        bounced = await relay.json("queue", "bounce", waiting, held)
        assert [(one["recipient"], one["status"], one["why"]) for one in bounced] == [
            ("waiting@rcpt.test", "bounced", "bounced by the operator"),
            ("held@rcpt.test", "bounced", "bounced by the operator"),
        ]
        # A second time nothing is changed, and nobody gets a second notification.
        assert await relay.json("queue", "bounce", waiting) == []

        def reports() -> bool:
            return len(sink.messages) == 2

        await until(reports)
        for one, address in zip(sink.messages, ("waiting", "held"), strict=True):
            assert one.recipients == ["news@acme.test"]
            assert re.search(rb"Final-Recipient: rfc822; \w+@rcpt\.test\r\n", one.content)
            assert b"The operator of this server returned the message" in one.content
            assert b"Subject: hello\r\n" in one.content
            assert address
        (story,) = await relay.json("trace", waiting)
        assert [(event["event"], event.get("category")) for event in story["events"]] == [
            ("created", None),
            ("bounced", "operator"),
        ]
        report = (await relay.json("report", "bounces", "--since", "1h"))[0]
        assert [(one["category"], one["bounced"]) for one in report["categories"]] == [("operator", 2)], report
        assert (await relay.fate(kept, "created"))["recipient"] == "kept@rcpt.test"
        shown = await relay.run("top", "--count", "2", "--interval", "0.1")
        assert "healthy" in shown


async def test_top_counts_what_happens_between_two_screens(tmp_path: Path) -> None:
    async with Sink() as sink, Relay(tmp_path, sink) as relay:
        await relay.fate(await relay.send(), "delivered")
        first, second = await relay.json("top", "--count", "2", "--interval", "0.1")
        assert (first["events"], second["events"], second["healthy"]) == ({}, {}, True)


@pytest.mark.parametrize("terminal", [True, False])
def test_a_bar_is_on_standard_error_and_on_a_terminal_only(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    assert list(with_progress(["a", "b", "c"], "counting")) == ["a", "b", "c"]
    written = capsys.readouterr()
    assert written.out == ""
    assert ("counting" in written.err) is terminal
    assert json.dumps(written.out) == '""'
