"""What nodes tell each other of lanes with work."""

import pytest

from relay.queue.entry import LaneFlow
from relay.storage.postgres.heartbeat import dues_of, payload


def _named(text: str) -> str:
    return text.partition(" ")[2]


def test_lanes_arrive_as_they_were_named() -> None:
    dues = [(LaneFlow("mx:a.test", "network:10.0.0.1\ta7", 2), 1764000000.5), (LaneFlow('provider:a "b" ü'), 0.0)]
    assert dues_of(_named(payload("node1", dues))) == dues


def test_too_many_for_one_notification_ask_for_a_look() -> None:
    assert dues_of(_named(payload("node1", [(LaneFlow(f"mx:{number}.test"), 1.0) for number in range(1000)]))) == []


@pytest.mark.parametrize(
    "named",
    [
        "{",
        "7",
        '[["mx:a.test", 1]]',
        '[[["mx:a.test", "", 1], "soon"]]',
        '[[["mx:a", "", "x"], 1]]',
        "[null]",
        '{"a": 1}',
        "\0",
    ],
)
def test_what_is_not_understood_asks_for_a_look(named: str) -> None:
    """Anybody who may connect can notify; a node that stopped to listen would lose its lease."""
    assert dues_of(named) == ()
