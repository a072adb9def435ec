"""`relay doctor`: what it finds of the machine, DNS and servers on loopback."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from click.testing import CliRunner

from relay.cli import main
from relay.cli.doctor_checks import (
    Result,
    check_certificates,
    check_disk,
    check_dns,
    check_port_25,
    check_provider,
    check_tracking,
)
from relay.config.settings import Settings
from relay.resolver import Resolver
from tests.ports import free_port
from tests.servers.dns_server import DnsServer
from tests.servers.sink import Say, Sink


def settings_of(tmp_path: Path, **sections: Any) -> Settings:
    server = {"hostname": "mail.acme.test", "data_dir": str(tmp_path)}
    return Settings.model_validate({"server": server, **sections})


def provider_at(port: int, **more: Any) -> dict[str, Any]:
    return {"name": "news", "host": "127.0.0.1", "port": port, "tls": "none", **more}


async def test_the_records_of_the_host_name_are_checked(tmp_path: Path) -> None:
    async with DnsServer("mail.acme.test. A 192.0.2.1\n1.2.0.192.in-addr.arpa. PTR mail.acme.test.") as dns:
        resolver = Resolver([dns.endpoint])
        assert await check_dns(settings_of(tmp_path), resolver) == [
            Result("dns", "ok", "mail.acme.test: all 2 records are as they should be")
        ]
        dns.change("1.2.0.192.in-addr.arpa. PTR host1.hosting.test.")
        (found,) = await check_dns(settings_of(tmp_path), Resolver([dns.endpoint]))
        assert (found.status, "host1.hosting.test" in found.text) == ("warning", True)


async def test_a_domain_without_its_records_is_wrong(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, domains={"acme.test": {}})
    async with DnsServer("acme.test. MX 10 mail.acme.test.\nmail.acme.test. A 192.0.2.1") as dns:
        found = await check_dns(settings, Resolver([dns.endpoint]))
    assert any("TXT" in one.text for one in found if one.status == "wrong")


async def test_port_25_is_open_shut_or_not_needed(tmp_path: Path) -> None:
    async with Sink() as sink, DnsServer("big.test. MX 10 mx.big.test.\nmx.big.test. A 127.0.0.1") as dns:
        resolver = Resolver([dns.endpoint])
        opened = settings_of(tmp_path, delivery={"port": sink.port})
        found = await check_port_25(opened, resolver, "big.test")
        assert found == Result("port 25", "ok", "mx.big.test answers")
        shut = settings_of(tmp_path, delivery={"port": free_port()})
        found = await check_port_25(shut, resolver, "big.test")
        assert found is not None
        assert found.status == "wrong"
    elsewhere = settings_of(tmp_path, provider=[provider_at(2525)], defaults={"provider": "news"})
    assert await check_port_25(elsewhere, resolver, "big.test") is None


async def test_a_provider_answers_or_refuses_the_login(tmp_path: Path) -> None:
    async with Sink(extensions=("AUTH PLAIN",)) as sink:
        settings = settings_of(tmp_path, provider=[provider_at(sink.port, username="u", password="p")])
        (news,), dns = settings.providers, Resolver([("127.0.0.1", 9)])
        assert await check_provider(settings, news, dns) == Result("provider", "ok", "news: takes the login")
        sink.once("AUTH", Say("535 5.7.8 wrong"))
        refused = await check_provider(settings, news, dns)
        assert (refused.status, "535 5.7.8 wrong" in refused.text) == ("wrong", True), refused
    assert (await check_provider(settings, news, dns)).status == "wrong"


def test_certificates_are_reported_before_they_end(tmp_path: Path) -> None:
    made = trustme.CA().issue_cert("mail.acme.test", not_after=datetime.now(UTC) + timedelta(days=30))
    made.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "mail.pem"))
    listener = {"name": "net", "address": "127.0.0.1:0", "tls": "starttls", "certificate": str(tmp_path / "mail.pem")}
    settings = settings_of(tmp_path, listener=[listener])
    assert [one.status for one in check_certificates(settings, time.time())] == ["ok"]
    assert [one.status for one in check_certificates(settings, time.time() + 20 * 86400)] == ["warning"]
    assert [one.status for one in check_certificates(settings, time.time() + 40 * 86400)] == ["wrong"]
    (tmp_path / "mail.pem").write_text("none")
    assert [one.status for one in check_certificates(settings, time.time())] == ["wrong"]


@pytest.mark.parametrize(("url", "status"), [("http://127.0.0.1:8025", "warning"), ("http://host.invalid", "wrong")])
def test_a_tracking_url_that_readers_cannot_reach_is_reported(url: str, status: str) -> None:
    assert check_tracking(url).status == status


def test_the_disk_of_a_folder_that_does_not_exist_yet_is_measured(tmp_path: Path) -> None:
    assert "MiB are free" in check_disk(settings_of(tmp_path / "new" / "data")).text


def test_the_command_ends_with_1_if_something_is_wrong(tmp_path: Path) -> None:
    config = tmp_path / "relay.toml"
    config.write_text(
        f"""[server]
hostname = "mail.acme.test"
data_dir = "{tmp_path / "data"}"
[tracker]
address = "127.0.0.1:{free_port()}"
[[listener]]
name = "submission"
address = "127.0.0.1:0"
[resolver]
nameservers = ["127.0.0.1:{free_port()}"]
[[provider]]
name = "news"
host = "127.0.0.1"
port = {free_port()}
tls = "none"
[defaults]
provider = "news"
"""
    )
    result = CliRunner().invoke(main, ["doctor", "-c", str(config)])
    assert result.exit_code == 1, result.output
    assert "✓ start" in result.output
    assert "✗ provider     news: 127.0.0.1:" in result.output
    assert "? dns" in result.output
