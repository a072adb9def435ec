from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address

import pytest

from relay.mailauth.spf import SpfVerdict, check_host, count_lookups
from relay.resolver import Resolver
from tests.servers import DnsServer
from tests.servers.dns_server import Trouble


@asynccontextmanager
async def zone(text: str, **trouble: Trouble) -> AsyncIterator[Resolver]:
    async with DnsServer(text, {name.replace("_", "."): what for name, what in trouble.items()}) as server:
        yield server.resolver()


async def verdict(text: str, ip: str = "192.0.2.1", sender: str = "joe@acme.test", **trouble: Trouble) -> SpfVerdict:
    async with zone(text, **trouble) as dns:
        domain = sender.rpartition("@")[2] or "helo.test"
        return await check_host(dns, ip_address(ip), domain, sender, "helo.test")


HOSTS = """
acme.test. MX 10 mx.acme.test.
mx.acme.test. A 192.0.2.9
acme.test. A 192.0.2.1
acme.test. AAAA 2001:db8::1
"""


@pytest.mark.parametrize(
    ("record", "ip", "result", "term"),
    [
        ("ip4:192.0.2.0/24 -all", "192.0.2.77", "pass", "ip4:192.0.2.0/24"),
        ("ip4:192.0.2.0/24 -all", "203.0.113.1", "fail", "-all"),
        ("ip4:192.0.2.0/24 -all", "::ffff:192.0.2.77", "pass", "ip4:192.0.2.0/24"),
        ("ip6:2001:db8::/32 ~all", "2001:db8::5", "pass", "ip6:2001:db8::/32"),
        ("ip6:2001:db8::/32 ~all", "2001:db9::5", "softfail", "~all"),
        ("a ?all", "192.0.2.1", "pass", "a"),
        ("a ?all", "2001:db8::1", "pass", "a"),
        ("a/24 ?all", "192.0.2.200", "pass", "a/24"),
        ("a/32 ?all", "192.0.2.2", "neutral", "?all"),
        ("a//64 ?all", "2001:db8::2", "pass", "a//64"),
        ("mx ?all", "192.0.2.9", "pass", "mx"),
        ("mx ?all", "192.0.2.8", "neutral", "?all"),
        ("exists:%{i}.acme.test", "192.0.2.8", "neutral", ""),
    ],
)
async def test_each_mechanism_has_its_result(record: str, ip: str, result: str, term: str) -> None:
    found = await verdict(f'{HOSTS}acme.test. TXT "v=spf1 {record}"', ip)
    assert (found.result, found.term) == (result, term), found.why


async def test_the_null_reverse_path_is_judged_by_helo() -> None:
    found = await verdict('helo.test. TXT "v=spf1 exists:%{l}.%{o} -all"\npostmaster.helo.test. A 127.0.0.2', sender="")
    assert (found.result, found.domain) == ("pass", "helo.test")


async def test_include_passes_on_pass_only_and_its_all_is_not_ours() -> None:
    found = await verdict('acme.test. TXT "v=spf1 include:other.test ~all"\nother.test. TXT "v=spf1 -all"')
    assert (found.result, found.term) == ("softfail", "~all")


async def test_an_include_without_a_record_is_an_error() -> None:
    found = await verdict('acme.test. TXT "v=spf1 include:other.test -all"\nother.test. TXT "nothing"')
    assert found.result == "permerror"
    assert "other.test has no SPF record" in found.why


async def test_redirect_decides_when_nothing_matched() -> None:
    found = await verdict('acme.test. TXT "v=spf1 redirect=_spf.test"\n_spf.test. TXT "v=spf1 ip4:192.0.2.1 -all"')
    assert (found.result, found.lookups) == ("pass", 1)


async def test_the_domain_explains_its_refusal() -> None:
    text = 'acme.test. TXT "v=spf1 -all exp=why.acme.test"\nwhy.acme.test. TXT "%{i} is not one of %{d}\'s hosts"'
    assert (await verdict(text)).explanation == "192.0.2.1 is not one of acme.test's hosts"


async def test_two_records_are_an_error() -> None:
    found = await verdict('acme.test. TXT "v=spf1 +all"\nacme.test. TXT "v=spf1 -all"')
    assert found.result == "permerror"
    assert "2 SPF records" in found.why


async def test_no_record_and_no_domain_are_none() -> None:
    assert (await verdict('acme.test. TXT "hello"')).result == "none"
    assert (await verdict("", sender="joe@localhost")).result == "none"


CHAIN = "\n".join(f'n{i}.test. TXT "v=spf1 include:n{i + 1}.test -all"' for i in range(12))


async def test_the_eleventh_look_up_is_an_error_and_ten_are_not() -> None:
    end = '\nn12.test. TXT "v=spf1 ip4:192.0.2.1 -all"'
    assert (await verdict(CHAIN + end, sender="joe@n2.test")).lookups == 10
    assert (await verdict(CHAIN + end, sender="joe@n2.test")).result == "pass"
    found = await verdict(CHAIN + end, sender="joe@n1.test")
    assert found.result == "permerror"
    assert 'include:n12.test" is one too many' in found.why


async def test_what_a_record_costs_is_counted_beyond_the_limit() -> None:
    async with zone(CHAIN + '\nn12.test. TXT "v=spf1 -all"') as dns:
        assert await count_lookups(dns, "n0.test") == 12
        assert await count_lookups(dns, "n11.test") == 1


async def test_an_endless_include_ends() -> None:
    found = await verdict('acme.test. TXT "v=spf1 include:acme.test -all"')
    assert (found.result, found.lookups) == ("permerror", 11)


async def test_the_third_void_look_up_is_an_error() -> None:
    two = await verdict('acme.test. TXT "v=spf1 a:x1.test a:x2.test ip4:192.0.2.1 -all"')
    assert two.result == "pass"
    three = await verdict('acme.test. TXT "v=spf1 a:x1.test a:x2.test mx:x3.test ip4:192.0.2.1 -all"')
    assert three.result == "permerror"
    assert "mx:x3.test" in three.why


async def test_a_silent_name_server_is_a_temporary_error() -> None:
    found = await verdict('acme.test. TXT "v=spf1 a:lame.test -all"', lame_test="SERVFAIL")
    assert found.result == "temperror"
    assert "a:lame.test" in found.why


async def test_ptr_believes_only_names_that_lead_back() -> None:
    reverse = "1.2.0.192.in-addr.arpa. PTR host.acme.test."
    record = 'acme.test. TXT "v=spf1 ptr -all"'
    assert (await verdict(f"{record}\n{reverse}\nhost.acme.test. A 192.0.2.1")).result == "pass"
    assert (await verdict(f"{record}\n{reverse}\nhost.acme.test. A 192.0.2.2")).result == "fail"


async def test_the_validated_name_is_the_one_nearest_to_the_domain() -> None:
    names = ("aaa.other.test", "zzz.acme.test")
    reverse = "\n".join(f"1.2.0.192.in-addr.arpa. PTR {name}.\n{name}. A 192.0.2.1" for name in names)
    found = await verdict(
        f'{reverse}\nacme.test. TXT "v=spf1 exists:%{{p}}.list.test -all"\nzzz.acme.test.list.test. A 127.0.0.2'
    )
    assert found.result == "pass"


async def test_an_exchanger_list_that_is_too_long_is_an_error() -> None:
    many = "\n".join(f"acme.test. MX 10 mx{i}.acme.test." for i in range(11))
    assert (await verdict(f'{many}\nacme.test. TXT "v=spf1 mx -all"')).result == "permerror"
