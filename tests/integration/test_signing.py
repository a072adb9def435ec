"""Keys under watch, without a relay around them: nodes that share a store, a store that is away, the operator told."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from relay.config.settings import Settings
from relay.domains.key_files import load_keys, write_key
from relay.domains.key_rotation import RotationError
from relay.domains.relay_keys import Keys
from relay.events.ports import StoreError
from relay.mailauth.dkim_keys import dns_record, generate_key, load_key, zone_line
from relay.storage.database import Connection, Database
from relay.storage.sqlite.store import SqliteStore
from tests.servers.dns_server import DnsServer
from tests.servers.signing_harness import SigningHarness

T = TypeVar("T")

NOW = 1_800_000_000.0

ZONE = """relay.test. A 198.51.100.7
7.100.51.198.in-addr.arpa. PTR relay.test.
acme.test. TXT "v=spf1 a:relay.test ~all"
_dmarc.acme.test. TXT "v=DMARC1; p=none"
"""


class Away:
    """A database that can be switched off."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.away = False

    async def read(self, operation: Callable[[Connection], T]) -> T:
        return await (self._nothing() if self.away else self._database.read(operation))

    async def write(self, operation: Callable[[Connection], T]) -> T:
        return await (self._nothing() if self.away else self._database.write(operation))

    async def _nothing(self) -> Any:
        raise StoreError("the store is away")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(tmp_path / "relay.db", now=NOW)
    yield opened
    await opened.close()


def made(folder: Path, selector: str) -> str:
    pem = generate_key("rsa-sha256")
    write_key(folder, "acme.test", selector, pem)
    line = zone_line(f"{selector}._domainkey.acme.test", dns_record(load_key(pem, "acme.test", selector)))
    return line.replace(" IN ", " ")


def settings(folder: Path, dns: DnsServer) -> Settings:
    return Settings.model_validate(
        {
            "server": {"hostname": "relay.test", "data_dir": str(folder)},
            "tracker": {"address": "", "base_url": ""},
            "resolver": {"nameservers": [f"127.0.0.1:{dns.port}"]},
            "domains": {"acme.test": {"dkim": {"selectors": ["s1", "s2"]}}},
        }
    )


def keys_of(told: Settings) -> Keys:
    return load_keys(told, lambda line, **fields: None)


def signs(keys: Keys) -> list[str]:
    return [key.selector for key in keys.dkim["acme.test"]]


async def test_of_nodes_that_share_a_store_one_looks_and_all_sign_alike(tmp_path: Path, store: SqliteStore) -> None:
    made(tmp_path, "s1")
    async with DnsServer(ZONE + made(tmp_path, "s2")) as dns:
        told = settings(tmp_path, dns)
        sides = [SigningHarness(store.database, told, lambda: NOW, keys_of(told)) for _ in range(2)]
        nodes = [harness.build() for harness in sides]
        for node in nodes:
            await node.start()
            assert signs(node.in_force()) == ["s1"]
        await nodes[0].watch.round()
        await nodes[1].watch.round()
        assert [signs(node.in_force()) for node in nodes] == [["s2"], ["s2"]]
        assert [signs(harness.used[-1]) for harness in sides] == [["s2"], ["s2"]]
        assert [len(harness.lines) for harness in sides] == [2, 0]
        assert sum(name == "s2._domainkey.acme.test." for name, kind in dns.questions if kind == "TXT") == 1


async def test_a_store_that_is_away_changes_nothing_and_is_reported_later(tmp_path: Path, store: SqliteStore) -> None:
    line = made(tmp_path, "s1")
    async with DnsServer(ZONE + line) as dns:
        told = settings(tmp_path, dns)
        database = Away(store.database)
        database.away = True
        harness = SigningHarness(database, told, lambda: NOW, keys_of(told))
        node = harness.build()
        await node.start()
        assert signs(node.in_force()) == ["s1"]
        with pytest.raises(StoreError):
            await node.watch.round()
        database.away = False
        await node.watch.round()
        assert node.watch.watched()[0].health == "passing"


async def test_the_operator_is_alerted_of_a_domain_that_fails_after_passing(tmp_path: Path, store: SqliteStore) -> None:
    line = made(tmp_path, "s1")
    clock = [NOW]
    async with DnsServer(ZONE) as dns:
        told = settings(tmp_path, dns)
        harness = SigningHarness(store.database, told, lambda: clock[0], keys_of(told))
        node = harness.build()
        await node.start()
        await node.watch.round()
        assert (node.watch.watched()[0].health, harness.alerts) == ("failing", [])
        dns.add(line)
        clock[0] += 200
        await node.watch.round()
        assert (node.watch.watched()[0].health, harness.alerts) == ("passing", [])
        dns.trouble = {next(name for name, _ in dns._records if name.to_text().startswith("s1.")): "NXDOMAIN"}
        for _ in range(2):
            clock[0] += 200
            await node.watch.round()
        ((cause, subject, text),) = harness.alerts
        assert (cause, subject) == ("domain acme.test", "the DNS of acme.test is not as it should be")
        assert "TXT s1._domainkey.acme.test" in text
        assert "relay domain check acme.test" in text


async def test_a_rotation_under_way_is_not_overtaken_by_another(tmp_path: Path, store: SqliteStore) -> None:
    made(tmp_path, "s1")
    clock = [NOW]
    async with DnsServer(ZONE) as dns:
        told = settings(tmp_path, dns)
        node = SigningHarness(store.database, told, lambda: clock[0], keys_of(told)).build()
        await node.start()
        clock[0] += 60
        key = await node.rotate("acme.test", "rsa-sha256", 1024)
        assert (key.selector, signs(node.in_force())) == ("s2", ["s1"])
        assert (tmp_path / "dkim/acme.test/s2.pem").stat().st_mode & 0o777 == 0o600
        with pytest.raises(RotationError, match="s2 was made on 2027-01-15 and does not sign yet"):
            await node.rotate("acme.test", "rsa-sha256", 1024)
