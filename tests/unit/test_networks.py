"""Addresses in their usual form: the expression for IPv4 accepts what the parser does, and nothing else."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.networks import is_in, plain_address, unmapped


def parsed(text: str) -> str | None:
    try:
        return str(unmapped(ip_address(text.partition("%")[0])))
    except ValueError:
        return None


PARTS = st.integers(0, 300).map(str) | st.sampled_from(["", "00", "01", "1 ", "\u0661", "+1", "255", "256", "1\n"])


@given(st.lists(PARTS, min_size=3, max_size=5).map(".".join) | st.ip_addresses().map(str) | st.text(max_size=16))
def test_any_text_is_read_as_the_parser_reads_it(text: str) -> None:
    assert plain_address(text) == parsed(text)


@pytest.mark.parametrize(
    "text", ["192.0.2.1\n", "192.0.2.", "192.0.2.1.", "192.0.2.01", "::ffff:192.0.2.1", "fe80::1%eth0"]
)
def test_edges(text: str) -> None:
    assert plain_address(text) == parsed(text)


def test_networks_hold_addresses_of_their_version() -> None:
    networks = [ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")]
    assert is_in("192.0.2.9", networks)
    assert is_in("::ffff:192.0.2.9", networks)
    assert is_in("2001:db8::1", networks)
    assert not is_in("198.51.100.1", networks)
    assert not is_in("", networks)
