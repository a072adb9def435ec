from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from relay.proxy_protocol import ProxyHeaderError, octets_missing, parse_proxy_header

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


PORTS = st.integers(0, 65535)


CHECKSUM = 3
"""The type of the TLV with a checksum of the header, which a random value contradicts."""

TYPES = st.integers(0, 255).filter(lambda type_of_tlv: type_of_tlv != CHECKSUM)

TLVS = st.lists(st.tuples(TYPES, st.binary(max_size=200)), max_size=4).map(
    lambda tlvs: b"".join(bytes((kind,)) + len(value).to_bytes(2) + value for kind, value in tlvs)
)


@st.composite
def version_1(draw: st.DrawFn) -> tuple[bytes, str]:
    family: Literal[4, 6] = draw(st.sampled_from((4, 6)))
    source, destination = draw(st.ip_addresses(v=family)), draw(st.ip_addresses(v=family))
    ports = f"{draw(PORTS)} {draw(PORTS)}"
    return f"PROXY TCP{family} {source} {destination} {ports}\r\n".encode(), str(source)


@st.composite
def version_2(draw: st.DrawFn) -> tuple[bytes, str]:
    family: Literal[4, 6] = draw(st.sampled_from((4, 6)))
    source, destination = draw(st.ip_addresses(v=family)), draw(st.ip_addresses(v=family))
    ports = draw(PORTS).to_bytes(2) + draw(PORTS).to_bytes(2)
    rest = source.packed + destination.packed + ports + draw(TLVS)
    return SIGNATURE + bytes((0x21, 0x11 if family == 4 else 0x21)) + len(rest).to_bytes(2) + rest, str(source)


@given(st.one_of(version_1(), version_2()), st.binary(max_size=300), st.data())
def test_a_header_is_read_to_its_end_and_no_further_however_it_arrives(
    header: tuple[bytes, str], following: bytes, chunks: st.DataObject
) -> None:
    stream, client = header[0] + following, header[1]
    data = b""
    while missing := octets_missing(data):
        arrived = chunks.draw(st.integers(1, missing))
        data += stream[len(data) : len(data) + arrived]
    assert data == header[0]
    mapped = getattr(ip_address(client), "ipv4_mapped", None)
    assert parse_proxy_header(data).client == str(mapped or client)


@given(
    st.one_of(
        st.binary(max_size=400),
        st.binary(max_size=400).map((SIGNATURE + b"\x21").__add__),
        st.binary(max_size=120).map(b"PROXY ".__add__),
    )
)
def test_any_octets_are_a_header_or_a_fault(stream: bytes) -> None:
    data = b""
    try:
        while missing := octets_missing(data):
            if len(stream) < len(data) + missing:
                return
            data += stream[len(data) : len(data) + missing]
        client = parse_proxy_header(data).client
    except ProxyHeaderError:
        return
    assert not client or isinstance(ip_address(client), IPv4Address | IPv6Address)
