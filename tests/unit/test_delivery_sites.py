"""Domains on the same servers are one site, and nobody can become part of a site of others."""

from ipaddress import ip_address

from relay.config.sites import SiteProfile, SiteProfiles, shipped_sites
from relay.delivery.mx import Endpoint
from relay.delivery.sites import SITE_FOR, SiteTable

NO_PROFILES = SiteProfiles()

PROFILES = SiteProfiles.of(
    [
        SiteProfile(name="big", mx=("*.big.test",), connections=5, messages_per_connection=50, rate="20/min"),
        SiteProfile(name="regional", mx=("*.regional.test",), connections=3, by_hosts=True),
    ]
)


def at(**hosts: str) -> tuple[Endpoint, ...]:
    return tuple(
        Endpoint(f"{name}.test", ip_address(address), 25) for name, line in hosts.items() for address in line.split()
    )


def test_the_same_hosts_are_one_site_in_any_order() -> None:
    sites = SiteTable(lambda: 0.0)
    first = sites.add("mx:a.test", at(mx1="192.0.2.1", mx2="192.0.2.2"), NO_PROFILES, 10)
    second = sites.add("mx:b.test", at(mx2="192.0.2.2", mx1="192.0.2.1"), NO_PROFILES, 10)
    assert first.name == second.name == "mx1.test,mx2.test"
    assert (first.address, second.address) == ("192.0.2.1", "192.0.2.2")
    assert sites.of("mx:b.test") == second


def test_a_name_for_each_customer_is_one_site_by_its_address() -> None:
    sites = SiteTable(lambda: 0.0)
    first = sites.add("mx:a.test", at(a="192.0.2.1"), NO_PROFILES, 10)
    assert sites.add("mx:b.test", at(b="192.0.2.1"), NO_PROFILES, 10).name == first.name


def test_a_foreign_address_makes_another_site() -> None:
    """Else a domain that lists a hanging server beside those of a large operator would occupy its connections."""
    sites = SiteTable(lambda: 0.0)
    large = sites.add("mx:large.test", at(mx="192.0.2.1 192.0.2.2"), NO_PROFILES, 10)
    hostile = sites.add("mx:hostile.test", at(hanging="198.51.100.1", mx="192.0.2.1"), NO_PROFILES, 10)
    assert hostile.name != large.name
    assert sites.add("mx:other.test", at(mx="192.0.2.1 192.0.2.2"), NO_PROFILES, 10).name == large.name


def test_a_site_is_looked_up_again_and_proves_itself_by_an_accepted_message() -> None:
    now = 0.0
    sites = SiteTable(lambda: now)
    site = sites.add("mx:a.test", at(a="192.0.2.1"), NO_PROFILES, 10)
    assert not sites.is_proven(site)
    sites.accepted(site)
    assert sites.is_proven(site)
    now = SITE_FOR
    assert sites.of("mx:a.test") is None
    assert sites.is_proven(site)


def hosts(*names: str) -> tuple[Endpoint, ...]:
    return tuple(Endpoint(name, ip_address(f"192.0.2.{number + 1}"), 25) for number, name in enumerate(names))


def test_all_hosts_of_a_profile_are_one_site_with_its_figures() -> None:
    sites = SiteTable(lambda: 0.0)
    first = sites.add("mx:a.test", hosts("a-test.mail.big.test"), PROFILES, 10)
    second = sites.add("mx:b.test", hosts("MX1.Big.Test", "mx2.big.test"), PROFILES, 10)
    assert (first.name, first.connections, first.messages_per_connection, first.rate) == ("big", 5, 50, 20.0)
    assert second.name == "big"


def test_a_domain_with_one_host_outside_a_profile_is_no_part_of_its_site() -> None:
    """Else everybody could occupy the connections of a large operator with a server that hangs."""
    for hostile in (("hanging.test", "mx.big.test"), ("mx.big.test", "hanging.test"), ("mx.big.test.bad.test",)):
        site = SiteTable(lambda: 0.0).add("mx:hostile.test", hosts(*hostile), PROFILES, 10)
        assert (site.name, site.connections) == (",".join(sorted(hostile)), 10)


def test_a_profile_by_hosts_gives_its_figures_to_each_set_of_hosts() -> None:
    sites = SiteTable(lambda: 0.0)
    europe = sites.add("mx:a.test", at(eu="192.0.2.1"), PROFILES, 10)
    regional = sites.add("mx:b.test", hosts("eu.regional.test"), PROFILES, 10)
    assert europe.name == "eu.test"
    assert regional.name == "eu.test", "the same address is the same site"
    sites = SiteTable(lambda: 0.0)
    names = [sites.add(f"mx:{one}", at_host(one, number), PROFILES, 10) for number, one in enumerate(("eu", "us"))]
    assert [(one.name, one.connections) for one in names] == [("eu.regional.test", 3), ("us.regional.test", 3)]


def at_host(name: str, number: int) -> tuple[Endpoint, ...]:
    return (Endpoint(f"{name}.regional.test", ip_address(f"192.0.2.{number + 9}"), 25),)


def test_a_name_of_a_customer_at_the_addresses_of_a_profile_is_its_site() -> None:
    sites = SiteTable(lambda: 0.0)
    sites.add("mx:a.test", hosts("mx.big.test"), PROFILES, 10)
    customer = sites.add("mx:b.test", hosts("mail.b.test"), PROFILES, 10)
    assert (customer.name, customer.connections) == ("big", 5)


def test_a_reload_forgets_the_sites() -> None:
    sites = SiteTable(lambda: 0.0)
    sites.add("mx:a.test", hosts("mx.big.test"), PROFILES, 10)
    sites.forget()
    assert sites.of("mx:a.test") is None
    assert sites.add("mx:a.test", hosts("mx.big.test"), NO_PROFILES, 10).name == "mx.big.test"


def test_large_operators_have_profiles() -> None:
    shipped = SiteProfiles.of(shipped_sites())
    expected = {
        "gmail-smtp-in.l.google.com": "google",
        "aspmx2.googlemail.com": "google",
        "outlook-com.olc.protection.outlook.com": "microsoft",
        "acme-com.mail.protection.outlook.com": "microsoft365",
        "acme-com.k-v1.mx.microsoft": "microsoft365",
        "mta7.am0.yahoodns.net": "yahoo",
        "mx01.mail.icloud.com": "icloud",
        "mx00.t-online.de": "t-online",
        "eu-smtp-inbound-1.mimecast.com": "mimecast",
    }
    found = {host: profile.name for host in expected if (profile := shipped.find(host))}
    assert found == expected
    assert shipped.find("c-73-1-2-3.hsd1.ca.comcast.net") is None, "customers have hosts there"
