"""Header of the PROXY protocol, versions 1 and 2: a TCP proxy puts the address of the client in front of its data.

The format is that of https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt. Pure functions.
"""

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from relay.networks import unmapped

_V1_START = b"PROXY "

_V2_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"

_V1_LONGEST = 107
"""Octets of a header of version 1, with CRLF."""

_V2_FIXED = 16
"""Octets of a header of version 2 before the addresses: signature, command, family, length."""

V2_MAX = 8192
"""Octets of a header of version 2 with all its TLVs, at most. The largest one, a client certificate, is smaller."""

_FIRST_READ = 12
"""Octets that are read before the version is known: no header is shorter than 15."""

_V1_TCP = re.compile(rb"PROXY (TCP[46]) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4})\r\n")

_V1_UNKNOWN = re.compile(rb"PROXY UNKNOWN(?: [^\r\n]*)?\r\n")

_LOCAL, _PROXY = 0, 1
"""Commands of version 2: the proxy itself connected, or it passes a client on."""

_ADDRESS_OCTETS = {0: 0, 1: 12, 2: 36, 3: 216}
"""Octets of both addresses and ports in version 2, by family: unspecified, IPv4, IPv6, Unix."""

_LAST_TRANSPORT = 2
"""Transports of version 2: unspecified, stream (1), datagram (2)."""

_TLV_HEAD = 3
"""Octets of a TLV before its value: type, length."""

_CHECKSUM = 0x03
"""Type of the TLV with the CRC32C of the header (PP2_TYPE_CRC32C)."""


class ProxyHeaderError(ValueError):
    """The octets are no header of the PROXY protocol; the text is the reason."""


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """What a header states about the connection."""

    client: str
    """IP address of the client, without port; IPv4-mapped ones as IPv4.

    Empty if the header has none: health checks of the proxy (LOCAL), UNKNOWN, Unix sockets, UDP.
    """


def octets_missing(data: bytes) -> int:
    """Return how many octets can be read without passing the end of the header that `data` begins; 0 at its end.

    What follows the header is not the reader's, often a TLS handshake. Raises ProxyHeaderError as soon as no header
    begins like this.
    """
    begins_v1 = _V1_START.startswith(data[: len(_V1_START)]) and b"\n" not in data[:_FIRST_READ]
    if not (begins_v1 or _V2_SIGNATURE.startswith(data[: len(_V2_SIGNATURE)])):
        raise ProxyHeaderError(f"no PROXY header, but {data[:_FIRST_READ]!r}")
    if len(data) < _FIRST_READ:
        return _FIRST_READ - len(data)
    return _missing_v1(data) if begins_v1 else _missing_v2(data)


def parse_proxy_header(data: bytes) -> ProxyHeader:
    """Parse a whole header, for which `octets_missing` is 0. Raises ProxyHeaderError."""
    return _parse_v1(data) if data.startswith(_V1_START) else _parse_v2(data)


def _missing_v1(data: bytes) -> int:
    if data.endswith(b"\r\n"):
        return 0
    if b"\n" in data or len(data) >= _V1_LONGEST:
        raise ProxyHeaderError("no CRLF at the end of the header of version 1")
    return 1 if data.endswith(b"\r") else 2


def _parse_v1(data: bytes) -> ProxyHeader:
    if _V1_UNKNOWN.fullmatch(data):
        return ProxyHeader("")
    found = _V1_TCP.fullmatch(data)
    if found is None or max(int(found[4]), int(found[5])) > 0xFFFF:
        raise ProxyHeaderError(f"malformed header of version 1: {data!r}")

    family = IPv4Address if found[1] == b"TCP4" else IPv6Address
    try:
        source, _ = family(found[2].decode()), family(found[3].decode())
    except AddressValueError:
        raise ProxyHeaderError(f"addresses of the wrong family: {data!r}") from None
    return ProxyHeader(str(unmapped(source)))


def _missing_v2(data: bytes) -> int:
    if len(data) < _V2_FIXED:
        return _V2_FIXED - len(data)
    total = _V2_FIXED + int.from_bytes(data[14:16])
    if total > V2_MAX:
        raise ProxyHeaderError(f"the header has {total} octets, more than {V2_MAX}")
    return total - len(data)


def _parse_v2(data: bytes) -> ProxyHeader:
    version, command = divmod(data[12], 16)
    family, transport = divmod(data[13], 16)
    if version != 2 or command > _PROXY:
        raise ProxyHeaderError(f"version {version} and command {command} of version 2 are not known")
    if command == _LOCAL:
        return ProxyHeader("")  # The rest has no meaning then.
    if family not in _ADDRESS_OCTETS or transport > _LAST_TRANSPORT:
        raise ProxyHeaderError(f"family {family} and transport {transport} of version 2 are not known")
    addresses = data[_V2_FIXED:]
    if len(addresses) < _ADDRESS_OCTETS[family]:
        raise ProxyHeaderError(f"{len(addresses)} octets are too few for addresses of family {family}")

    _check_tlvs(data, _V2_FIXED + _ADDRESS_OCTETS[family])
    match family, transport:
        case 1, 1:
            return ProxyHeader(str(IPv4Address(addresses[:4])))
        case 2, 1:
            return ProxyHeader(str(unmapped(IPv6Address(addresses[:16]))))
    return ProxyHeader("")


def _check_tlvs(data: bytes, start: int) -> None:
    """Check the TLVs from this offset: their lengths, and the checksum if there is one. Other values are not read."""
    at = start
    while at < len(data):
        value = at + _TLV_HEAD
        end = value + int.from_bytes(data[at + 1 : value])
        if end > len(data) or value > len(data):
            raise ProxyHeaderError("a TLV reaches beyond the end of the header")
        if data[at] == _CHECKSUM and data[value:end] != _crc32c(data[:value] + bytes(end - value) + data[end:]):
            raise ProxyHeaderError("the checksum of the header is wrong")
        at = end


def _crc32c(data: bytes) -> bytes:
    """Return the CRC32C (RFC 3720 appendix B.4) in network order."""
    crc = 0xFFFFFFFF
    for octet in data:
        crc = crc >> 8 ^ _CRC_TABLE[(crc ^ octet) & 0xFF]
    return (crc ^ 0xFFFFFFFF).to_bytes(4)


def _crc_of(octet: int) -> int:
    for _ in range(8):
        octet = octet >> 1 ^ (0x82F63B78 if octet & 1 else 0)
    return octet


_CRC_TABLE = tuple(map(_crc_of, range(256)))
