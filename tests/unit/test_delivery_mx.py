"""From DNS answers to the addresses to try, and to the failures DSNs quote."""

from ipaddress import ip_address, ip_network

import pytest

from relay.delivery.mx import Endpoint, endpoints, failing_last, literal_endpoints, provider_endpoints, usable_hosts
from relay.queue.outcome import Deferred, Refused
from relay.resolver import (
    AddressAnswer,
    Addresses,
    Hosts,
    MxAnswer,
    MxHost,
    NoRecords,
    NoSuchDomain,
    NullMx,
    TemporaryFailure,
)

A, B, C = (MxHost(10, "a.test"), MxHost(20, "b.test"), MxHost(30, "c.test"))


def at(*texts: str) -> Addresses:
    return Addresses(tuple(map(ip_address, texts)))


@pytest.mark.parametrize(
    ("answer", "outcome", "reply"),
    [
        (NullMx(), Refused, "556 5.1.10"),
        (NoSuchDomain(), Refused, "550 5.1.2"),
        (TemporaryFailure("SERVFAIL"), Deferred, "451 4.4.3 SERVFAIL"),
        (Hosts((MxHost(10, "we.test"), B)), Refused, "550 5.4.6"),
        (Hosts((MxHost(20, "a.test"), MxHost(20, "we.test"))), Refused, "550 5.4.6"),
    ],
)
def test_no_host_to_ask(answer: MxAnswer, outcome: type, reply: str) -> None:
    result = usable_hosts("d.test", answer, {"we.test"})
    assert isinstance(result, outcome)
    assert isinstance(result, Deferred | Refused)
    assert str(result.reply).startswith(reply)


def test_hosts_behind_ourselves_are_left_out() -> None:
    """RFC 5321 section 5.1."""
    assert usable_hosts("d.test", Hosts((A, MxHost(20, "we.test"), B, C)), {"we.test"}) == (A,)


def test_hosts_are_bounded() -> None:
    many = tuple(MxHost(number, f"h{number}.test") for number in range(200))
    assert usable_hosts("d.test", Hosts(many), ()) == many[:20]


def test_hops_are_in_order_and_bounded_for_each_host() -> None:
    found: list[tuple[MxHost, AddressAnswer]] = [
        (A, at("1.1.1.1", "1.1.1.2", "1.1.1.3")),
        (B, NoRecords()),
        (C, at("2606:4700::1111")),
    ]
    assert endpoints("d.test", found, 25, ()) == (
        Endpoint("a.test", ip_address("1.1.1.1"), 25),
        Endpoint("a.test", ip_address("1.1.1.2"), 25),
        Endpoint("c.test", ip_address("2606:4700::1111"), 25),
    )


def test_forbidden_addresses_are_passed_over_and_public_ones_used() -> None:
    found = [(A, at("127.0.0.1", "1.1.1.1")), (B, at("10.0.0.1"))]
    assert endpoints("d.test", found, 25, ()) == (Endpoint("a.test", ip_address("1.1.1.1"), 25),)
    opened = endpoints("d.test", found, 25, [ip_network("10.0.0.0/8")])
    assert opened == (Endpoint("a.test", ip_address("1.1.1.1"), 25), Endpoint("b.test", ip_address("10.0.0.1"), 25))


@pytest.mark.parametrize(
    ("found", "outcome", "reply"),
    [
        ([(A, at("127.0.0.1"))], Refused, "550 5.4.4 mail is not delivered to a.test[127.0.0.1]"),
        ([(A, NoSuchDomain())], Refused, "550 5.4.4 no mail exchanger of d.test has an address"),
        ([(MxHost(0, "d.test"), NoRecords())], Refused, "550 5.4.4 domain d.test has neither"),
        ([(A, at("127.0.0.1")), (B, TemporaryFailure("silence"))], Deferred, "451 4.4.3 silence"),
        ([(MxHost(0, "127.0.0.1"), at("127.0.0.1"))], Refused, "550 5.4.4"),
        ([(A, at("1.1.1.1", "8.8.8.8"))], Refused, "550 5.4.6"),
    ],
)
def test_a_domain_without_a_usable_host_has_an_outcome(
    found: list[tuple[MxHost, AddressAnswer]], outcome: type, reply: str
) -> None:
    result = endpoints("d.test", found, 25, (), own={ip_address("8.8.8.8")})
    assert isinstance(result, outcome)
    assert isinstance(result, Deferred | Refused)
    assert str(result.reply).startswith(reply)


def test_our_own_address_behind_another_host_ends_the_list() -> None:
    found = [(A, at("1.1.1.1")), (B, at("8.8.8.8")), (C, at("1.1.1.2"))]
    assert endpoints("d.test", found, 25, (), own={ip_address("8.8.8.8")}) == (
        Endpoint("a.test", ip_address("1.1.1.1"), 25),
    )


def test_address_literals_are_endpoints() -> None:
    public, private = ip_address("1.1.1.1"), ip_address("10.0.0.1")
    assert literal_endpoints(public, 25, ()) == (Endpoint("", public, 25),)
    refused = literal_endpoints(private, 25, ())
    assert isinstance(refused, Refused)
    assert refused.reply.status == "5.4.4"
    own = literal_endpoints(public, 25, (), {public})
    assert isinstance(own, Refused)
    assert own.reply.status == "5.4.6"


def test_a_provider_may_be_anywhere_and_never_fails_for_good() -> None:
    assert provider_endpoints("p", "smtp.test", 587, at("127.0.0.1")) == (
        Endpoint("smtp.test", ip_address("127.0.0.1"), 587),
    )
    assert provider_endpoints("p", "127.0.0.1", 587, at("127.0.0.1")) == (Endpoint("", ip_address("127.0.0.1"), 587),)
    for answer in (NoSuchDomain(), NoRecords(), TemporaryFailure("silence")):
        outcome = provider_endpoints("p", "smtp.test", 587, answer)
        assert isinstance(outcome, Deferred)
        assert outcome.lane_down


def test_failing_addresses_are_tried_last_in_the_same_order() -> None:
    ways = tuple(Endpoint("a.test", ip_address(f"1.1.1.{number}"), 25) for number in range(4))
    assert failing_last(ways, {str(ways[0]), str(ways[2])}) == (ways[1], ways[3], ways[0], ways[2])


def test_hops_read_as_postfix_writes_them() -> None:
    assert str(Endpoint("mx1.example.com", ip_address("192.0.2.1"), 25)) == "mx1.example.com[192.0.2.1]:25"
