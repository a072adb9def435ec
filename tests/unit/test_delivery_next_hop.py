"""What lanes stand for."""

from ipaddress import ip_address

import pytest

from relay.delivery.mx import is_host_name
from relay.delivery.next_hop import Domain, Literal, Upstream, parse_lane
from relay.mail.reply import Reply


@pytest.mark.parametrize(
    ("lane", "target"),
    [
        ("provider:newsletter", Upstream("newsletter")),
        ("mx:example.test", Domain("example.test")),
        ("mx:example.test.", Domain("example.test")),
        ("mx:bücher.test", Domain("bücher.test")),
        ("mx:_x.a-b.test", Domain("_x.a-b.test")),
        ("mx:[192.0.2.1]", Literal(ip_address("192.0.2.1"))),
        ("mx:[IPv6:2001:db8::1]", Literal(ip_address("2001:db8::1"))),
    ],
)
def test_each_lane_has_its_target(lane: str, target: object) -> None:
    assert parse_lane(lane) == target


@pytest.mark.parametrize("name", ["", ".", "a..b", "-a.test", "a b", "[", "[]", "[x]", "[IPv6:]", "127.0.0.1", "x.1"])
def test_what_can_be_no_destination_is_refused(name: str) -> None:
    reply = parse_lane(f"mx:{name}")
    assert isinstance(reply, Reply)
    assert (reply.code, reply.status) == (550, "5.1.2")


@pytest.mark.parametrize("name", ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "0X7F.1", "a.0x1", "1.2.3.4."])
def test_addresses_are_no_host_names(name: str) -> None:
    assert not is_host_name(name)


@pytest.mark.parametrize("name", ["mx1.example.test", "1.example.test", "0x7f.test", "127.0.0.1.nip.test", "a"])
def test_other_names_are_host_names(name: str) -> None:
    assert is_host_name(name)


def test_a_long_name_is_judged_in_no_time() -> None:
    assert not is_host_name("a-" * 100_000)
    assert not is_host_name("a." * 100_000)
