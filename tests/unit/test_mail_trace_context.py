"""Which values of `traceparent` count (W3C Trace Context, sections 3.2 and 4.3)."""

import pytest

from relay.mail.trace_context import TraceIds, parse_traceparent, valid_traceparent

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"

IDS = f"{TRACE}-{PARENT}"


@pytest.mark.parametrize(
    "value", [f"00-{IDS}-01", f"00-{IDS}-ff", f"01-{IDS}-00", f"fe-{IDS}-00", f"cc-{IDS}-01-what.comes"]
)
def test_ids_are_those_of_this_version_and_of_later_ones(value: str) -> None:
    assert parse_traceparent(value) == TraceIds(TRACE, PARENT)
    assert valid_traceparent(value) == value


@pytest.mark.parametrize(
    "value",
    [
        "",
        "00-x",
        f"ff-{IDS}-01",
        f"FE-{IDS}-01",
        f"00-{IDS.upper()}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{IDS}-01-later",
        f"00-{IDS}-01 ",
        f"00-{IDS}-01\n",
        f"00-{IDS}-1",
        f"00-{IDS}",
        f"01-{IDS}-01later",
        f"01-{IDS}-01-{'x' * 300}",
        f"01-{IDS}-01-a\nb",
        f"1-{IDS}-01",
    ],
)
def test_all_others_are_ignored(value: str) -> None:
    assert parse_traceparent(value) is None
    assert valid_traceparent(value) == ""


def test_of_two_fields_none_counts() -> None:
    assert valid_traceparent(f"00-{IDS}-01", f"00-{IDS}-00") == ""
    assert valid_traceparent() == ""
