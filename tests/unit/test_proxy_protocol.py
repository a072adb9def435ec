"""Headers of the PROXY protocol, as proxies send them."""

import pytest

from relay.proxy_protocol import V2_MAX, ProxyHeaderError, octets_missing, parse_proxy_header

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


IPV4 = bytes((192, 0, 2, 9, 198, 51, 100, 1)) + b"\xdc\x04\x00\x19"


IPV6 = bytes.fromhex("20010db8000000000000000000000009" + "20010db8000000000000000000000001") + b"\xdc\x04\x00\x19"


MAPPED = bytes(10) + b"\xff\xff" + bytes((192, 0, 2, 9)) + bytes(16) + b"\xdc\x04\x00\x19"


TLVS = b"\x04\x00\x03abc" + b"\x20\x00\x05\x01\0\0\0\0" + b"\xea\x00\x01\x00"
"""NOOP, SSL, and one of a vendor."""


CHECKSUM = b"\x03\x00\x04"
"""Type and length of the TLV with the CRC32C of the header; four octets of zero stand in for it when it is made."""


def v2(command: int, family: int, rest: bytes = b"") -> bytes:
    return SIGNATURE + bytes((0x20 | command, family)) + len(rest).to_bytes(2) + rest


def read(data: bytes) -> str:
    assert octets_missing(data) == 0
    return parse_proxy_header(data).client


@pytest.mark.parametrize(
    ("data", "client"),
    [
        (b"PROXY TCP4 192.0.2.9 198.51.100.1 56324 25\r\n", "192.0.2.9"),
        (b"PROXY TCP6 2001:DB8::9 2001:db8::1 56324 25\r\n", "2001:db8::9"),
        (b"PROXY TCP6 ::ffff:192.0.2.9 ::ffff:198.51.100.1 56324 25\r\n", "192.0.2.9"),
        (b"PROXY TCP4 192.0.2.9 198.51.100.1 0 65535\r\n", "192.0.2.9"),
        (b"PROXY UNKNOWN\r\n", ""),
        (b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535 and more\r\n", ""),
        (b"PROXY UNKNOWN " + b"f" * 91 + b"\r\n", ""),
        (v2(1, 0x11, IPV4), "192.0.2.9"),
        (v2(1, 0x11, IPV4 + TLVS), "192.0.2.9"),
        (v2(1, 0x11, IPV4 + CHECKSUM + bytes.fromhex("a5dc19c5")), "192.0.2.9"),
        (v2(1, 0x21, IPV6 + TLVS + CHECKSUM + bytes.fromhex("a4d2344b") + TLVS), "2001:db8::9"),
        (v2(1, 0x11, IPV4 + b"\x04\x00\x00"), "192.0.2.9"),
        (v2(1, 0x21, IPV6 + TLVS), "2001:db8::9"),
        (v2(1, 0x21, MAPPED), "192.0.2.9"),
        (v2(1, 0x12, IPV4), ""),
        (v2(1, 0x31, bytes(216)), ""),
        (v2(1, 0x00), ""),
        (v2(1, 0x00, TLVS), ""),
        (v2(0, 0x00), ""),
        (v2(0, 0x11, IPV4), ""),
        (v2(0, 0x51, b"not an address"), ""),
        (v2(0, 0x11, IPV4 + CHECKSUM + b"\0\0\0\0"), ""),
    ],
)
def test_a_header_names_the_client_or_nobody(data: bytes, client: str) -> None:
    assert read(data) == client


@pytest.mark.parametrize(
    "data",
    [
        b"PROXY TCP4 192.0.2.9 198.51.100.1 56324\r\n",
        b"PROXY TCP4  192.0.2.9 198.51.100.1 56324 25\r\n",
        b"PROXY TCP4 192.0.2.9 198.51.100.1 56324 25 \r\n",
        b"PROXY TCP4 192.0.2.9 198.51.100.1 56324 65536\r\n",
        b"PROXY TCP4 192.0.2.9 198.51.100.1 056324 25\r\n",
        b"PROXY TCP4 192.0.2.09 198.51.100.1 56324 25\r\n",
        b"PROXY TCP4 192.0.2 198.51.100.1 56324 25\r\n",
        b"PROXY TCP4 2001:db8::9 2001:db8::1 56324 25\r\n",
        b"PROXY TCP6 192.0.2.9 198.51.100.1 56324 25\r\n",
        b"PROXY TCP6 fe80::1%eth0 fe80::2 56324 25\r\n",
        b"PROXY UDP4 192.0.2.9 198.51.100.1 56324 25\r\n",
        b"PROXY tcp4 192.0.2.9 198.51.100.1 56324 25\r\n",
        b"PROXY UNKNOWNS\r\n",
        v2(2, 0x11, IPV4),
        v2(1, 0x41, IPV4),
        v2(1, 0x13, IPV4),
        v2(1, 0x11, IPV4[:-1]),
        v2(1, 0x21, IPV4),
        v2(1, 0x31, IPV6),
        v2(1, 0x11, IPV4 + b"\x04"),
        v2(1, 0x11, IPV4 + b"\x04\x00"),
        v2(1, 0x11, IPV4 + b"\x04\x00\x03ab"),
        v2(1, 0x00, b"\x04\x00\x03ab"),
        v2(1, 0x11, IPV4 + CHECKSUM + b"\0\0\0\0"),
        v2(1, 0x11, IPV4 + b"\x03\x00\x03\0\0\0"),
        v2(1, 0x11, IPV4 + b"\x03\x00\x00"),
        SIGNATURE + b"\x11\x11\0\x0c" + IPV4,
    ],
)
def test_a_malformed_header_is_refused(data: bytes) -> None:
    assert octets_missing(data) == 0
    with pytest.raises(ProxyHeaderError):
        parse_proxy_header(data)


@pytest.mark.parametrize(
    "data",
    [
        b"EHLO client.test\r\n",
        b"E",
        b"QUIT\r\n",
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00",
        b"PROXY\r\n",
        b"PROXY TCP\n",
        b"PROXY TCP4 192.0.2.9 198.51.100.1 56324 25\n",
        b"PROXY UNKNOWN " + b"f" * 93,
        b"\r\n\r\n\0\r\nQUIT\r",
        v2(1, 0x11)[:14] + (V2_MAX - 15).to_bytes(2),
    ],
)
def test_what_begins_no_header_is_refused_before_more_is_read(data: bytes) -> None:
    with pytest.raises(ProxyHeaderError):
        octets_missing(data)


def test_the_error_shows_what_came_instead() -> None:
    with pytest.raises(ProxyHeaderError, match=r"no PROXY header, but b'EHLO client\.'"):
        octets_missing(b"EHLO client.test\r\n")
