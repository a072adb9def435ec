"""Numbers, times and words of the pages; cells of CSV; masked addresses; addresses of pages."""

import pytest

from relay.console import formats
from relay.console.csv_export import csv_text
from relay.console.page_urls import page_url
from relay.console.roles import masked

NOON = 1_796_126_400.0
"""2026-12-01 12:00 UTC."""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (1.24, "1.2 s"),
        (42, "42 s"),
        (31 * 60, "31 min"),
        (26 * 3600, "26 h"),
        (72 * 3600, "72 h"),
        (9e5, "10 days"),
    ],
)
def test_a_length_of_time(seconds: float, text: str) -> None:
    assert formats.duration(seconds) == text


def test_a_moment_has_what_its_reader_does_not_know() -> None:
    assert formats.moment(NOON, NOON + 3600) == "12:00:00"
    assert formats.moment(NOON, NOON + 90_000) == "1 Dec 12:00:00"
    assert formats.moment(NOON, NOON + 40 * 86400) == "1 Dec 2026 12:00:00"
    assert formats.minute(NOON, NOON) == "12:00"
    assert formats.date(NOON) == "1 Dec 2026"
    assert formats.exact(NOON) == "2026-12-01T12:00:00Z"


@pytest.mark.parametrize("at", [0.0, -5.0, float("inf"), float("nan"), 1e20])
def test_a_time_that_is_none(at: float) -> None:
    assert formats.moment(at) == formats.minute(at) == formats.date(at) == ""


def test_shares_lists_and_counts() -> None:
    assert formats.percent(0, 10) == "0 %"
    assert formats.percent(7, 10_000) == "0.07 %"
    assert formats.percent(1, 3) == "33.3 %"
    assert formats.percent(3, 3) == "100 %"
    assert formats.percent(1, 0) == "0 %"
    assert formats.listed([]) == ""
    assert formats.listed(["a"]) == "a"
    assert formats.listed(["a", "b"]) == "a and b"
    assert formats.listed(["a", "b", "c", "d"]) == "a, b and 2 more"
    assert formats.counted(1, "recipient") == "1 recipient"
    assert formats.counted(1200, "recipient waits", "recipients wait") == "1,200 recipients wait"
    assert [formats.part_of(*one) for one in ((0, 2), (1, 3), (2, 2), (5, 5))] == [
        *("None of two", "One of three", "Both", "All five")
    ]
    assert formats.octets(18_400) == "18.4 KB"
    assert formats.sentence("mailbox full.") == "Mailbox full."


def test_unprintable_characters_cannot_turn_the_text_around() -> None:
    assert formats.cleaned("a\u202egpj.exe\x00\x1b[31m") == "a gpj.exe  [31m"
    assert formats.cleaned("caf\udce9") == "caf "


def test_cells_that_a_spreadsheet_would_run_are_text() -> None:
    rows = csv_text([["=1+1", "+49", "-1", "@x", "a,b", 'q"q', 5, None, "x\ny"]])
    assert rows == '\'=1+1,\'+49,\'-1,\'@x,"a,b","q""q",5,,x y\r\n'


def test_addresses_of_pages_keep_their_parameters() -> None:
    assert page_url("/messages", {"q": "a b&c", "status": ""}, status="bounced") == "/messages?q=a+b%26c&status=bounced"
    assert page_url("/messages", {"q": "x"}, q="") == "/messages"


@pytest.mark.parametrize(
    ("address", "shown"),
    [("anna@domain.test", "a••@d•••.test"), ("a@b", "a••@•••b"), ("nobody", "n••"), ("", "••")],
)
def test_a_masked_address(address: str, shown: str) -> None:
    assert masked(address) == shown
