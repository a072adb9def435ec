"""Names for the canary: the hosts file first, then DNS."""

from ipaddress import ip_address
from pathlib import Path
from socket import AF_INET, AF_INET6

import pytest

from relay.tracker.canary_client import HostResolver, parse_hosts
from tests.servers.dns_server import DnsServer

HOSTS = """# the local names
127.0.0.1 localhost loop # and more: t.acme.test
::1       localhost
nonsense  t.acme.test
192.0.2.7\tT.acme.test

"""


@pytest.mark.parametrize(
    ("host", "addresses"),
    [
        ("localhost", ["127.0.0.1", "::1"]),
        ("t.acme.test", ["192.0.2.7"]),
        ("T.ACME.test", ["192.0.2.7"]),
        ("acme.test", []),
        ("127.0.0.1", []),
    ],
)
def test_a_hosts_file_is_read(host: str, addresses: list[str]) -> None:
    assert parse_hosts(HOSTS, host) == tuple(map(ip_address, addresses))


async def test_names_not_in_the_hosts_file_are_looked_up_in_dns(tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_text(HOSTS)
    zone = "u.acme.test. A 192.0.2.8\nu.acme.test. AAAA 2001:db8::8\nmail.acme.test. MX 10 x.test."
    async with DnsServer(zone, {"down.test": "REFUSED"}) as dns:
        names = HostResolver(dns.resolver(), file)
        assert [one["host"] for one in await names.resolve("t.acme.test", 80)] == ["192.0.2.7"]
        (found,) = await names.resolve("u.acme.test", 443, AF_INET)
        assert (found["host"], found["port"], found["family"]) == ("192.0.2.8", 443, AF_INET)
        assert [one["family"] for one in await names.resolve("u.acme.test", 443, AF_INET6)] == [AF_INET6]
        for name in ("mail.acme.test", "none.test"):
            with pytest.raises(OSError, match=f"{name} has no address"):
                await names.resolve(name, 80)
        with pytest.raises(OSError, match=r"the DNS lookup failed: .* REFUSED"):
            await names.resolve("down.test", 80)
        assert await HostResolver(dns.resolver(), tmp_path / "none").resolve("u.acme.test", 80)
