"""A name server with the records of a domain, right or with mistakes, and `relay domain` that looks at them."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from relay.cli.domain import domain
from relay.domains.key_files import write_key
from relay.mailauth.dkim_keys import generate_key
from tests.servers import DnsServer
from tests.servers.dns_server import Trouble

HOST = "relay.operator.test. A 198.51.100.7\n7.100.51.198.in-addr.arpa. PTR relay.operator.test."

DELEGATED = ("--cname-target", "mail.operator.test")


@contextmanager
def serving(zone: str, trouble: dict[str, Trouble] | None = None) -> Iterator[int]:
    """Run a name server in a thread: the command has an event loop of its own."""
    started = threading.Event()
    server = DnsServer(zone, trouble)
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        async with server:
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        assert started.wait(10)
        yield server.port
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for selector in ("s1", "s2"):
        write_key(folder, "acme.test", selector, generate_key("rsa-sha256"))
    return folder


def configured(data: Path, port: int = 1, extra: str = 'return_path = "bounces.acme.test"') -> Path:
    config = data / "relay.toml"
    config.write_text(
        f"""
[server]
hostname = "relay.operator.test"
data_dir = "{data}"
[resolver]
nameservers = ["127.0.0.1:{port}"]
[[listener]]
name = "mx"
kind = "inbound"
address = "127.0.0.1:2526"
[domains."acme.test"]
tracking = {{ base_url = "https://t.acme.test" }}
dkim = {{ selectors = ["s1", "s2"] }}
reply_domain = "reply.acme.test"
{extra}
"""
    )
    return config


def run(command: str, config: Path, *arguments: str, name: str = "acme.test") -> Result:
    return CliRunner().invoke(domain, [command, name, "-c", str(config), *arguments])


def zone_of(data: Path, *arguments: str) -> list[str]:
    """Return what `domain records` says to publish, as the name server of the tests reads it."""
    result = run("records", configured(data), "--zone", *arguments)
    assert result.exit_code == 0, result.stdout
    return [line.replace(" IN ", " ") for line in result.stdout.splitlines() if not line.startswith(";")]


def checked(data: Path, zone: list[str], *arguments: str, trouble: dict[str, Trouble] | None = None) -> Result:
    with serving("\n".join(zone), trouble) as port:
        return run("check", configured(data, port), *arguments)


def finding(result: Result, name: str, kind: str) -> dict[str, Any]:
    (found,) = (
        one for one in map(json.loads, result.stdout.splitlines()) if (one["name"], one["kind"]) == (name, kind)
    )
    assert isinstance(found, dict)
    return found


def replaced(data: Path, name: str, *lines: str, arguments: tuple[str, ...] = (), kind: str = "") -> list[str]:
    """Return the right zone with the records of a name (of one kind) replaced by these."""
    kept = [line for line in zone_of(data, *arguments) if not line.startswith(f"{name}. {kind}")]
    return [*kept, *lines, *HOST.splitlines()]
