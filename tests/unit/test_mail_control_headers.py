"""X-Relay-* fields: read, and refused with a word about what would be right."""

import pytest

from relay.mail.control_headers import (
    HIDDEN_RECIPIENTS,
    IDEMPOTENCY_KEYS,
    PREFIX,
    is_removed,
    may_hold_removed_field,
    read_control_headers,
)
from relay.mail.headers import fields
from relay.mail.instructions import MAX_ITEMS, MAX_VALUE, InstructionError, Instructions, combine


def read(*lines: str) -> Instructions:
    content = "".join(f"{line}\r\n" for line in ("Subject: x", *lines, "", "body")).encode()
    return combine(read_control_headers(content, fields(content)))


def test_mail_without_the_fields_has_no_instructions() -> None:
    assert read("X-Mailer: relay", "X-Relayed: yes") == Instructions()


def test_all_fields_are_instructions() -> None:
    assert read(
        "X-Relay-Track: Opens",
        "X-Relay-Campaign: autumn sale",
        "X-Relay-Tag: invoice",
        "x-relay-tag: first time",
        "X-RELAY-TAG: invoice",
        "X-Relay-Meta-Invoice: 4711",
        "X-Relay-Meta-customer: Zoë",
        "X-Relay-Provider: newsletter",
        "X-Relay-Send-At: 2026-11-25T10:00:00+01:00",
    ) == Instructions(
        opens=True,
        clicks="off",
        campaign="autumn sale",
        tags=("invoice", "first time"),
        metadata={"invoice": "4711", "customer": "Zoë"},
        provider="newsletter",
        send_at=1795597200.0,
    )


@pytest.mark.parametrize(
    ("value", "track"),
    [
        ("none", set()),
        ("None", set()),
        ("clicks", {"clicks"}),
        ("opens,clicks", {"opens", "clicks"}),
        (" clicks , opens", {"opens", "clicks"}),
    ],
)
def test_track_switches_opens_and_clicks(value: str, track: set[str]) -> None:
    found = read(f"X-Relay-Track: {value}")
    assert (found.opens, found.clicks) == ("opens" in track, "all" if "clicks" in track else "off")


@pytest.mark.parametrize("value", ["", "yes", "opens,none", "opens;clicks", "opens,", "off"])
def test_track_that_means_nothing(value: str) -> None:
    with pytest.raises(
        InstructionError, match=r'X-Relay-Track: ".*" is not "none", "opens", "clicks" or "opens,clicks"'
    ):
        read(f"X-Relay-Track: {value}")


@pytest.mark.parametrize(
    "value", ["2026-11-25T09:00:00Z", "2026-11-25 09:00:00+00:00", "2026-11-25T10:00:00.000+01:00"]
)
def test_send_at_is_read_as_a_time(value: str) -> None:
    assert read(f"X-Relay-Send-At: {value}").send_at == 1795597200.0


@pytest.mark.parametrize("value", ["tomorrow", "2026-11-25T09:00:00", "1795597200", "2026-13-25T09:00:00Z", ""])
def test_send_at_that_is_no_time_or_has_no_zone(value: str) -> None:
    with pytest.raises(InstructionError, match=r"X-Relay-Send-At: .* such as \"2026-11-25T09:00:00Z\""):
        read(f"X-Relay-Send-At: {value}")


def test_send_at_that_another_zone_would_put_outside_of_all_years() -> None:
    assert read("X-Relay-Send-At: 0001-01-01T00:00:00+14:00").send_at == -62135647200.0


@pytest.mark.parametrize("value", ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00"])
def test_send_at_so_late_that_what_follows_from_it_has_no_date(value: str) -> None:
    """Its expiry would lie beyond the year 9999, and no listing with it in could be shown."""
    with pytest.raises(InstructionError, match=r"X-Relay-Send-At: .* is later than the year 9000"):
        read(f"X-Relay-Send-At: {value}")
    assert read("X-Relay-Send-At: 9000-12-31T23:59:59Z").send_at == 221876927999.0


def test_the_last_of_two_counts() -> None:
    assert read("X-Relay-Campaign: one", "X-Relay-Campaign: two").campaign == "two"


def test_unknown_fields_are_reported() -> None:
    found = read("X-Relay-Colour: red", "X-Relay-Meta-: x", "X-Relay-: y").ignored
    assert [str(one) for one in found] == [
        "x-relay-colour: unknown field",
        "x-relay-meta-: unknown field",
        "x-relay-: unknown field",
    ]


def test_a_folded_value_is_one_line() -> None:
    assert read("X-Relay-Tag: one\r\n two").tags == ("one two",)


@pytest.mark.parametrize(
    "name", ["X-Relay-Tag", "X-Relay-Campaign", "X-Relay-Meta-a", "X-Relay-Track", "X-Relay-Colour"]
)
def test_a_value_of_any_length_is_refused(name: str) -> None:
    with pytest.raises(InstructionError, match=f"{name.lower()}: the value is longer than {MAX_VALUE} characters"):
        read(f"{name}: {'x' * (MAX_VALUE + 1)}")


@pytest.mark.parametrize("name", ["X-Relay-Tag: t{}", "X-Relay-Meta-k{}: v"])
def test_any_number_of_them_is_refused(name: str) -> None:
    read(*(name.format(number) for number in range(MAX_ITEMS)))
    with pytest.raises(InstructionError, match=f"more than {MAX_ITEMS}"):
        read(*(name.format(number) for number in range(MAX_ITEMS + 1)))


@pytest.mark.parametrize("name", [*HIDDEN_RECIPIENTS, *IDEMPOTENCY_KEYS, PREFIX, b"x-relay-tag", b"subject"])
def test_the_quick_look_at_a_header_misses_no_removed_field(name: bytes) -> None:
    for spelled in (name, name.upper()):
        header = b"From: a@b.test\r\n" + spelled + b": x\r\n\r\n"
        assert may_hold_removed_field(header) == any(map(is_removed, fields(header)))
