"""Domains on the same servers are one site, and nobody can become part of a site of others."""

from ipaddress import ip_address

from relay.delivery.mx import Endpoint
from relay.delivery.sites import SITE_FOR, SiteTable


def at(**hosts: str) -> tuple[Endpoint, ...]:
    return tuple(
        Endpoint(f"{name}.test", ip_address(address), 25) for name, line in hosts.items() for address in line.split()
    )


def test_the_same_hosts_are_one_site_in_any_order() -> None:
    sites = SiteTable(lambda: 0.0)
    first = sites.add("mx:a.test", at(mx1="192.0.2.1", mx2="192.0.2.2"))
    second = sites.add("mx:b.test", at(mx2="192.0.2.2", mx1="192.0.2.1"))
    assert first.name == second.name == "mx1.test,mx2.test"
    assert (first.address, second.address) == ("192.0.2.1", "192.0.2.2")
    assert sites.of("mx:b.test") == second


def test_a_name_for_each_customer_is_one_site_by_its_address() -> None:
    sites = SiteTable(lambda: 0.0)
    first = sites.add("mx:a.test", at(a="192.0.2.1"))
    assert sites.add("mx:b.test", at(b="192.0.2.1")).name == first.name


def test_a_foreign_address_makes_another_site() -> None:
    """Else a domain that lists a hanging server beside those of a large operator would occupy its connections."""
    sites = SiteTable(lambda: 0.0)
    large = sites.add("mx:large.test", at(mx="192.0.2.1 192.0.2.2"))
    hostile = sites.add("mx:hostile.test", at(hanging="198.51.100.1", mx="192.0.2.1"))
    assert hostile.name != large.name
    assert sites.add("mx:other.test", at(mx="192.0.2.1 192.0.2.2")).name == large.name


def test_a_site_is_looked_up_again_and_proves_itself_by_an_accepted_message() -> None:
    now = 0.0
    sites = SiteTable(lambda: now)
    site = sites.add("mx:a.test", at(a="192.0.2.1"))
    assert not sites.is_proven(site)
    sites.accepted(site)
    assert sites.is_proven(site)
    now = SITE_FOR
    assert sites.of("mx:a.test") is None
    assert sites.is_proven(site)
