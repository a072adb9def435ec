"""Which addresses mail found by DNS is never delivered to."""

from ipaddress import ip_address, ip_network

import pytest

from relay.mail.public_address import is_blocked, is_numeric_host

FORBIDDEN = [
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.1.2.3", "169.254.169.254"),
    *("172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.168.1.1", "198.18.0.1", "198.51.100.1"),
    *("203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "fe80::1", "fc00::1", "fd00::1", "ff02::1", "ff0e::1", "2001:db8::1", "100::1", "fec0::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1"),
    *("64:ff9b::a00:1", "64:ff9b:1::a9fe:a9fe", "2002:7f00:1::", "2002:a00:1::1", "2002:e000:1::", "2001:0:7f00:1::1"),
]

PUBLIC = [
    *("1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.32.0.1", "192.169.0.1", "223.255.255.254"),
    *("2606:4700::1111", "2a00:1450:4001:830::200e", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"),
]


@pytest.mark.parametrize("address", FORBIDDEN)
def test_addresses_that_are_not_public_are_blocked(address: str) -> None:
    assert is_blocked(ip_address(address))


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0177.0.0.1", "0", "0x7f.1", "0x", "127.0.0.1.", "a.test.0XF"])
def test_a_host_that_ends_in_a_number_is_an_address_to_some(host: str) -> None:
    assert is_numeric_host(host)


@pytest.mark.parametrize("host", ["a.test", "1.a", "0x7g", "1a", "127.0.0.1.test", "x0", ""])
def test_other_hosts_are_names(host: str) -> None:
    assert not is_numeric_host(host)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_not_blocked(address: str) -> None:
    assert not is_blocked(ip_address(address))


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("127.0.0.1", "127.0.0.0/8"),
        ("::ffff:127.0.0.1", "127.0.0.0/8"),
        ("64:ff9b::a00:1", "10.0.0.0/8"),
        ("::1", "::1/128"),
        ("fd00::25", "fd00::/8"),
    ],
)
def test_allowed_by_the_operator(address: str, network: str) -> None:
    assert is_blocked(ip_address(address))
    assert not is_blocked(ip_address(address), [ip_network("192.0.2.0/24"), ip_network(network)])


def test_allowing_one_network_opens_no_other() -> None:
    assert is_blocked(ip_address("10.1.0.1"), [ip_network("10.0.0.0/16"), ip_network("::/0")])
