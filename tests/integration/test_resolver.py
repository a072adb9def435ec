"""The resolver against a real name server: every answer a value, cached and asked once."""

import asyncio
from ipaddress import ip_address

import pytest

from relay.resolver import (
    Addresses,
    Alias,
    Hosts,
    MxHost,
    NoRecords,
    NoSuchDomain,
    NullMx,
    Resolver,
    TemporaryFailure,
    Texts,
)
from tests.servers import DnsServer
from tests.servers.dns_server import Trouble

ZONE = """
d.test. MX 20 b.d.test.
d.test. MX 10 a2.d.test.
d.test. MX 10 A1.D.test.
a1.d.test. A 192.0.2.1
a1.d.test. A 192.0.2.2
a1.d.test. AAAA 2001:db8::1
d.test. TXT "v=spf1 " "-all"
d.test. TXT "other"
www.d.test. CNAME d.test.
null.test. MX 0 .
loop.test. CNAME b.loop.test.
b.loop.test. CNAME loop.test.
xn--bcher-kva.test. MX 1 mx.d.test.
"""


def resolver(dns: DnsServer) -> Resolver:
    return dns.resolver(shuffle=lambda hosts: hosts.sort(key=lambda h: h.name))


async def test_mx_by_preference_and_shuffled_within_one() -> None:
    async with DnsServer(ZONE) as dns:
        first, second, last = MxHost(10, "a1.d.test"), MxHost(10, "a2.d.test"), MxHost(20, "b.d.test")
        assert await resolver(dns).mx("d.test") == Hosts((first, second, last))
        turned = dns.resolver(shuffle=lambda hosts: hosts.sort(key=lambda host: host.name, reverse=True))
        assert await turned.mx("D.test.") == Hosts((second, first, last))


@pytest.mark.parametrize(
    ("domain", "answer"),
    [
        ("null.test", NullMx()),
        ("gone.test", NoSuchDomain()),
        ("a1.d.test", Hosts((MxHost(0, "a1.d.test"),), implicit=True)),
        ("bücher.test", Hosts((MxHost(1, "mx.d.test"),))),
        ("", NoSuchDomain()),
        ("a..b", NoSuchDomain()),
        ("x" * 64 + ".test", NoSuchDomain()),
    ],
)
async def test_each_answer_about_mx_has_its_type(domain: str, answer: object) -> None:
    async with DnsServer(ZONE) as dns:
        assert await resolver(dns).mx(domain) == answer


@pytest.mark.parametrize("trouble", ["SERVFAIL", "REFUSED", "silent", "garbage"])
async def test_trouble_is_a_temporary_failure_that_says_what(trouble: Trouble) -> None:
    async with DnsServer(ZONE, {"d.test": trouble}) as dns:
        ask = resolver(dns)
        answers = await asyncio.gather(ask.mx("d.test"), ask.addresses("a1.d.test"), ask.txt("d.test"))
        assert all(isinstance(answer, TemporaryFailure) for answer in answers)
        assert str(answers[0]).startswith("TemporaryFailure(text='MX of d.test: ")


async def test_a_name_that_points_at_itself_is_a_temporary_failure() -> None:
    async with DnsServer(ZONE) as dns:
        assert isinstance(await resolver(dns).mx("loop.test"), TemporaryFailure)
        assert len(dns.questions) < 10


async def test_addresses_take_the_kinds_in_turn() -> None:
    async with DnsServer(ZONE) as dns:
        ask = resolver(dns)
        v6, v4, v4_too = map(ip_address, ("2001:db8::1", "192.0.2.1", "192.0.2.2"))
        both = await ask.addresses("a1.d.test")
        assert isinstance(both, Addresses)
        assert both.addresses[0] == v6
        assert sorted(both.addresses[1:]) == [v4, v4_too]
        assert await ask.addresses("a1.d.test", ipv6=False) == Addresses(both.addresses[1:])
        assert await ask.addresses("d.test") == NoRecords()
        assert await ask.addresses("gone.test") == NoSuchDomain()


async def test_txt_and_cname_records_are_returned() -> None:
    async with DnsServer(ZONE) as dns:
        ask = resolver(dns)
        answer = await ask.txt("d.test")
        assert isinstance(answer, Texts)
        assert sorted(answer.texts) == ["other", "v=spf1 -all"]
        assert await ask.txt("a1.d.test") == NoRecords()
        assert await ask.txt("gone.test") == NoSuchDomain()
        assert await ask.cname("www.d.test") == Alias("d.test")
        assert await ask.cname("d.test") == NoRecords()
        assert await ask.cname("gone.test") == NoSuchDomain()


async def test_the_same_question_is_asked_once_even_when_an_asker_gives_up() -> None:
    async with DnsServer(ZONE) as dns:
        ask = resolver(dns)
        first, *others = (asyncio.create_task(ask.mx("d.test")) for _ in range(50))
        await asyncio.sleep(0)
        first.cancel()
        answers = await asyncio.gather(*others)
        assert all(isinstance(answer, Hosts) for answer in answers)
        await ask.mx("D.TEST")
        await ask.mx("gone.test")
        await ask.mx("gone.test")
        assert sorted(dns.questions) == [("d.test.", "MX"), ("gone.test.", "MX")]


async def test_the_second_name_server_answers_for_the_first() -> None:
    async with DnsServer(ZONE, {"d.test": "SERVFAIL"}) as broken, DnsServer(ZONE) as sound:
        assert isinstance(await Resolver([broken.endpoint, sound.endpoint]).mx("d.test"), Hosts)


async def test_without_name_servers_the_system_is_asked() -> None:
    assert await Resolver().mx("") == NoSuchDomain()
