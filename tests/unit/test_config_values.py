"""Durations, sizes, addresses and networks as people write them."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from relay.config.parsers import parse_duration, parse_host_port, parse_network, parse_size
from relay.config.server import parse_nameserver
from relay.config.show import duration_text, size_text
from relay.config.values import PersonName


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("5m", 300),
        ("72h", 259200),
        ("90d", 7776000),
        ("1.5h", 5400),
        ("1h30m", 5400),
        ("250ms", 0.25),
        ("2w", 1209600),
        ("0", 0),
        ("45", 45),
        (7, 7),
        (0.5, 0.5),
    ],
)
def test_durations_are_read_as_seconds(text: object, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5 minutes", "-5m", "m", "5M", "1h 30m", -1, True, float("inf"), [], None])
def test_invalid_durations_are_refused(text: object) -> None:
    with pytest.raises(PydanticCustomError, match="is not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "octets"),
    [("25MiB", 26214400), ("10MB", 10_000_000), ("1.5KiB", 1536), ("2 GB", 2 * 10**9), ("100B", 100), (512, 512)],
)
def test_sizes_are_read_as_octets(text: object, octets: int) -> None:
    assert parse_size(text) == octets


@pytest.mark.parametrize("text", ["10M", "10 megabytes", "-1MB", "MB", False, "10mb"])
def test_invalid_sizes_are_refused(text: object) -> None:
    with pytest.raises(PydanticCustomError, match="is not a size"):
        parse_size(text)


@pytest.mark.parametrize("value", ["36501d", "1" + "0" * 400 + "d", 10**400, 1e300, "9" * 400])
def test_durations_beyond_the_calendar_are_refused(value: object) -> None:
    with pytest.raises(PydanticCustomError, match="is too long"):
        parse_duration(value)


@pytest.mark.parametrize("value", ["9" * 400 + "GB", 10**400, 1e300, "9" * 400, "1048577GiB"])
def test_sizes_beyond_every_disk_are_refused(value: object) -> None:
    with pytest.raises(PydanticCustomError, match="is too large"):
        parse_size(value)


@given(st.integers(0, 10**9).map(lambda milliseconds: milliseconds / 1000))
def test_a_shown_duration_reads_back(seconds: float) -> None:
    assert parse_duration(duration_text(seconds)) == pytest.approx(seconds)


@given(st.integers(1, 2**40))
def test_a_shown_size_reads_back(octets: int) -> None:
    assert parse_size(size_text(octets)) == octets


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:2525", "127.0.0.1", 2525),
        ("[::1]:25", "::1", 25),
        ("localhost:0", "localhost", 0),
        ("[0:0:0:0:0:0:0:1]:25", "::1", 25),
    ],
)
def test_addresses_are_read_as_host_and_port(text: str, host: str, port: int) -> None:
    assert parse_host_port(text) == (host, port)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("127.0.0.1", "has no port"),
        ("127.0.0.1:smtp", "has no port"),
        ("127.0.0.1:65536", "too high"),
        ("::1:25", "needs brackets"),
        (":25", "not a host name"),
        ("a b:25", "not a host name"),
        ("[x]:25\n", "has no port"),
    ],
)
def test_invalid_addresses_are_refused(text: str, problem: str) -> None:
    with pytest.raises(PydanticCustomError, match=problem):
        parse_host_port(text)


def test_networks_are_read() -> None:
    assert parse_network("10.0.0.0/8") == ip_network("10.0.0.0/8")
    assert parse_network("192.0.2.7") == ip_network("192.0.2.7/32")
    assert parse_network("2001:db8::/32") == ip_network("2001:db8::/32")


def test_a_network_with_host_bits_gets_a_suggestion() -> None:
    with pytest.raises(PydanticCustomError) as caught:
        parse_network("10.1.2.3/8")
    assert caught.value.context is not None
    assert caught.value.context["suggestion"] == "10.0.0.0/8"


@pytest.mark.parametrize("text", ["10.0.0.0/33", "lan", "", 5])
def test_invalid_networks_are_refused(text: object) -> None:
    with pytest.raises(PydanticCustomError, match="is not a network"):
        parse_network(text)


def test_nameservers_are_read() -> None:
    assert parse_nameserver("192.0.2.1") == ("192.0.2.1", 53)
    assert parse_nameserver("127.0.0.1:5353") == ("127.0.0.1", 5353)
    assert parse_nameserver("2001:db8::1") == ("2001:db8::1", 53)
    assert parse_nameserver("[::1]:5353") == ("::1", 5353)
    with pytest.raises(PydanticCustomError, match="is not an IP address"):
        parse_nameserver("dns.example:53")


@pytest.mark.parametrize("name", ["Zoë Müller", "می\u200cخواهم", "Ada 👩\u200d🔬", "x" * 100])
def test_names_of_people_are_taken_in_every_script(name: str) -> None:
    assert TypeAdapter(PersonName).validate_python(f" {name} ") == name


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("x" * 101, "101 characters"),
        ("Ada\nLovelace", "the character U\\+000A"),
        ("Ada \u202eecila", "the character U\\+202E, which is not shown"),
        ("Ada\u00a0Lovelace", "the character U\\+00A0"),
    ],
)
def test_a_name_that_hides_something_is_refused_for_that(name: str, problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        TypeAdapter(PersonName).validate_python(name)
