"""Addresses of clients and networks."""

from ipaddress import ip_network

import pytest

from relay.networks import is_in, plain_address


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
