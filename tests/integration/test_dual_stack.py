"""Listeners at all addresses of IPv6: they serve IPv4 too, unless another section has that port of IPv4."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from relay.app.start_check import find_address_faults
from relay.config.bind_addresses import bind_hosts
from relay.config.settings import Settings
from tests.ports import free_port
from tests.servers.smtp_in_harness import serving


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


pytestmark = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


@pytest.mark.parametrize("proxied", [False, True])
async def test_clients_of_both_families_are_served_and_named_in_their_own_form(tmp_path: Path, proxied: bool) -> None:
    listener: dict[str, Any] = {"address": f"[::]:{free_port()}", "allow_networks": ["127.0.0.1/32"]}
    if proxied:
        listener |= {"proxy_protocol": True, "trusted_proxies": ["127.0.0.1/32", "::1/128"]}
    async with serving(tmp_path, listener=listener) as side:
        strangers = {}
        for host in ("127.0.0.1", "::1"):
            reader, writer = await asyncio.open_connection(host, side.server.port)
            if proxied:
                family = 6 if ":" in host else 4
                writer.write(f"PROXY TCP{family} {host} {host} 1 2\r\n".encode())
            assert (await reader.readline()).startswith(b"220 ")
            (connection,) = side.server._connections
            strangers[connection.client_session.client] = connection.is_stranger
            writer.close()
            assert await reader.read() == b""
            while side.server.connections:
                await asyncio.sleep(0)
        assert strangers == {"127.0.0.1": False, "::1": True}


def hosts(*sections: dict[str, object], **tables: object) -> list[tuple[str, ...]]:
    listeners = [{"name": f"l{number}", **section} for number, section in enumerate(sections)]
    settings = Settings.model_validate({"listener": listeners, **tables})
    return [bind_hosts(settings, one) for one in (*settings.listeners, settings.tracker)]


def test_all_addresses_of_ipv6_stand_for_those_of_ipv4() -> None:
    both = ("::", "0.0.0.0")
    assert hosts({"address": "[::]:25"}, tracker={"address": "[::]:80"}) == [both, both]
    assert hosts({"address": "[::1]:25"}, {"address": "0.0.0.0:26"})[:2] == [("::1",), ("0.0.0.0",)]
    assert hosts({"address": "[::]:0"})[0] == ("::",)


@pytest.mark.parametrize("other", ["0.0.0.0:25", "192.0.2.1:25", "mail.test:25"])
def test_another_section_may_have_the_port_of_ipv4(other: str) -> None:
    assert hosts({"address": "[::]:25"}, {"address": other})[0] == ("::",)
    assert hosts({"address": "[::]:25"}, tracker={"address": other})[0] == ("::",)


def test_the_check_finds_a_port_of_ipv4_that_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings = Settings.model_validate(
            {"listener": [{"name": "a", "address": f"[::]:{port}"}], "tracker": {"address": ""}}
        )
        ((problem),) = find_address_faults(settings, set())
    assert problem.problem == f"another process listens on 0.0.0.0 port {port}"
