"""Parts that all commands share: received text on a terminal, times."""

import pytest

from relay.cli.common import parse_period, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("grüße ☕", "grüße ☕"),
        ("one\r\ntwo\tthree", "one  two three"),
        ("\x1b[2J\x9b31m\x07", "\ufffd[2J\ufffd31m\ufffd"),
        ("\u202eevil\u2028\ud800", "\ufffdevil \ufffd"),
        (451, "451"),
    ],
)
def test_received_text_cannot_control_a_terminal(text: object, shown: str) -> None:
    assert printable(text) == shown


def test_characters_that_the_caller_keeps() -> None:
    assert printable("a: b\r\n\tc\x1b", kept="\n\t") == "a: b \n\tc\ufffd"


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("12 h", 43200), ("30d", 2592000), ("4w", 2419200)])
def test_periods_are_read_as_seconds(text: str, seconds: float) -> None:
    assert parse_period(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "d", "1.5h", "-1d", "1y", "1234567s"])
def test_texts_that_are_no_period(text: str) -> None:
    assert parse_period(text) is None
