"""Addresses that proxies add, in all their forms."""

import time
from ipaddress import ip_network

import pytest

from relay.networks import NetworkSet
from relay.tracker.client import client_address
from relay.tracker.forwarded import forwarded_for, hop_address

TRUSTED = NetworkSet([ip_network("127.0.0.0/8"), ip_network("10.0.0.0/8"), ip_network("fd00::/8")])


@pytest.mark.parametrize(
    ("hop", "address"),
    [
        ("198.51.100.7", "198.51.100.7"),
        (" 198.51.100.7:51234 ", "198.51.100.7"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("2001:DB8:0::7", "2001:db8::7"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("[::ffff:198.51.100.7]:80", "198.51.100.7"),
        ('"198.51.100.7:_obf"', "198.51.100.7"),
        ("unknown", None),
        ("_hidden", None),
        ("198.51.100.7:80:81", None),
        ("[198.51.100.7", None),
        ("", None),
    ],
)
def test_an_entry_is_an_address_with_or_without_its_port(hop: str, address: str | None) -> None:
    assert hop_address(hop) == address


@pytest.mark.parametrize(
    ("forwarded", "entries"),
    [
        ("", ""),
        ("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60"),
        ("for=192.0.2.43, FOR=198.51.100.17", "192.0.2.43, 198.51.100.17"),
        ('proto=https; For="[2001:db8:cafe::17]:4711"', "[2001:db8:cafe::17]:4711"),
        ('for="_a,b;for=6.6.6.6", for=192.0.2.1', "_a b;for=6.6.6.6, 192.0.2.1"),
        ("by=10.0.0.1, for=192.0.2.1", "unknown, 192.0.2.1"),
        ('host="x;for=6.6.6.6";for=192.0.2.1', "192.0.2.1"),
        ("xfor=6.6.6.6", "unknown"),
        ('for="6.6.6.6, for=192.0.2.1', "unknown, 192.0.2.1"),
        ('for="6.6.6.6\\', "unknown"),
        ('for="192.0.2.1" ; proto=http', "192.0.2.1"),
        (" , for=6.6.6.6,\t, for=192.0.2.1 , ", "6.6.6.6, 192.0.2.1"),
        ("for=;proto=http", "unknown"),
    ],
)
def test_forwarded_is_read_as_x_forwarded_for(forwarded: str, entries: str) -> None:
    assert forwarded_for(forwarded) == entries


@pytest.mark.parametrize(
    "unit", ['"\\', '\\"', '"a', "a=", "for=", "for= ", " ", "\\", ",", ";", '",', '";', "a;", 'for="x";', "="]
)
@pytest.mark.parametrize("start", ["", '"', "for=", 'for="', "for"])
def test_forwarded_is_read_in_linear_time(unit: str, start: str) -> None:
    """Anybody can send it, and it is read in the event loop: in quadratic time, 64 KiB would take minutes."""
    began = time.process_time()
    forwarded_for(start + unit * (65_536 // len(unit)))
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("peer", "entries", "client"),
    [
        ("127.0.0.1", "198.51.100.7, 10.1.1.1:80", "198.51.100.7"),
        ("127.0.0.1", "6.6.6.6, unknown, 10.1.1.1", "10.1.1.1"),
        ("::ffff:127.0.0.1", "[2001:db8::7]:4711, [fd00::1]:99", "2001:db8::7"),
        ("203.0.113.9", "198.51.100.7", "203.0.113.9"),
        ("::ffff:203.0.113.9", "198.51.100.7", "203.0.113.9"),
        ("", "198.51.100.7", ""),
    ],
)
def test_entries_count_from_trusted_proxies_only(peer: str, entries: str, client: str) -> None:
    assert client_address(peer, entries, TRUSTED) == client
