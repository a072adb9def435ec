"""Addresses of clients and networks."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay.networks import NetworkSet, is_in, plain_address, unmapped


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("0:0:0:0:0:FFFF:c000:201", "192.0.2.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("", None),
        ("192.0.2.01", None),
        ("host.test", None),
    ],
)
def test_an_address_has_one_form(text: str, plain: str | None) -> None:
    assert plain_address(text) == plain


@pytest.mark.parametrize(
    ("text", "networks", "inside"),
    [
        ("10.1.2.3", ["::/0", "10.0.0.0/8"], True),
        ("::ffff:10.1.2.3", ["10.0.0.0/8"], True),
        ("::ffff:10.1.2.3", ["::/0"], False),
        ("11.1.2.3", ["10.0.0.0/8"], False),
        ("2001:db8::1", ["0.0.0.0/0"], False),
        ("", ["0.0.0.0/0", "::/0"], False),
        ("10.1.2.3", [], False),
    ],
)
def test_an_address_is_in_networks_of_its_version(text: str, networks: list[str], inside: bool) -> None:
    assert is_in(text, map(ip_network, networks)) is inside


PARTS = st.integers(0, 300).map(str) | st.sampled_from(["", "00", "01", "1 ", "\u0661", "+1", "255", "256", "1\n"])


@given(st.lists(PARTS, min_size=3, max_size=5).map(".".join) | st.ip_addresses().map(str) | st.text(max_size=16))
@example("192.0.2.1\n")
@example("192.0.2.")
@example("192.0.2.1.")
def test_the_expression_for_ipv4_accepts_what_the_parser_does(text: str) -> None:
    try:
        parsed = str(unmapped(ip_address(text.partition("%")[0])))
    except ValueError:
        assert plain_address(text) is None
    else:
        assert plain_address(text) == parsed


def test_a_set_of_networks_has_the_addresses_of_each_and_no_other() -> None:
    networks = NetworkSet([ip_network("10.0.0.0/8"), ip_network("fd00::/8")])
    for _ in range(2):  # The second answers are cached.
        assert [one in networks for one in ("10.1.2.3", "::ffff:10.1.2.3", "fd00::1", "11.0.0.1", "", "x")] == [
            *[True] * 3,
            *[False] * 3,
        ]
    assert "10.1.2.3" not in NetworkSet()
