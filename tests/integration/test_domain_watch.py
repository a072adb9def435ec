"""The watch over sending domains in a whole relay: keys change when DNS shows the next one, changes are logged once."""

import asyncio
import email
import time
from email.message import Message
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from relay.admin.domains import domain_json
from relay.domains.key_files import write_key
from relay.mailauth.dkim_keys import Algorithm, dns_record, generate_key, load_key, zone_line
from tests.integration.mail_helpers import HTML, send
from tests.servers.dns_server import DnsServer
from tests.servers.relay_app import Running, running
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink
from tests.servers.waiting import until

MINUTES = 60.0

ZONE = """relay.test. A 198.51.100.7
7.100.51.198.in-addr.arpa. PTR relay.test.
acme.test. TXT "v=spf1 a:relay.test ~all"
_dmarc.acme.test. TXT "v=DMARC1; p=none"
t.acme.test. CNAME relay.test.
"""

DOMAIN = """[domains."acme.test"]
dkim = { selectors = ["s1", "s2"] }
tracking = { base_url = "https://t.acme.test" }
"""


class Clock:
    """The time, and what a test adds to it."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


def made_key(folder: Path, selector: str, algorithm: Algorithm = "rsa-sha256") -> str:
    """Make a key of acme.test; return its record as a line of the name server."""
    pem = generate_key(algorithm)
    write_key(folder / "data", "acme.test", selector, pem)
    line = zone_line(f"{selector}._domainkey.acme.test", dns_record(load_key(pem, "acme.test", selector)))
    return line.replace(" IN ", " ")


def configured(folder: Path, sink: Sink, dns: DnsServer, domain: str = DOMAIN) -> RelayProcess:
    more = f'guard = false\n[resolver]\nnameservers = ["127.0.0.1:{dns.port}"]\n{domain}'
    relay = RelayProcess(folder, sink.port)
    text = relay.config.read_text()
    relay.config.write_text(text.replace("[queue]", f"{more}\n[queue]", 1))
    return relay


async def looked(up: Running) -> dict[str, Any]:
    """Have the domain looked at, and return how it stands then.

    A check that is running does not see what the test has just changed. So the one that began after it counts.
    """
    watch = up.app.outbound.signing.watch

    async def since_then() -> bool:
        return watch.watched()[0].checked_at > last

    last = 0.0
    await until(since_then)
    for _ in range(2):
        last = watch.watched()[0].checked_at
        assert await watch.schedule_check("acme.test")
        await until(since_then)
    return domain_json(watch.watched()[0])


async def selectors(relay: RelayProcess, sink: Sink) -> list[str]:
    """Send a mail; return the selectors of its signatures."""
    number = len(sink.messages) + 1
    await asyncio.to_thread(send, relay.port, HTML, ["u@rcpt.test"])
    arrived: Message = email.message_from_bytes((await sink.received(number))[-1].content)
    fields = [str(field).replace(" ", "") for field in arrived.get_all("DKIM-Signature", [])]
    return [part[2:] for field in fields for part in field.split(";") if part.strip().startswith("s=")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path


async def test_a_new_key_signs_once_dns_has_shown_it_for_some_minutes(folder: Path) -> None:
    clock = Clock()
    async with Sink() as sink, DnsServer(ZONE + made_key(folder, "s1")) as dns:
        relay = configured(folder, sink, dns)
        async with running(relay, clock) as up:
            assert await selectors(relay, sink) == ["s1"]
            listed = await looked(up)
            assert (listed["state"], listed["verified"], listed["signing"]) == ("passing", True, ["s1"])
            assert await relay.json("domain", "list") == [listed]
            assert "acme.test" in await relay.run("domain", "list")
            assert "the check is started" in await relay.run("domain", "look", "acme.test")
            assert await up.app.store.domains.verified_domains() == {"acme.test"}

            (made,) = await relay.json("dkim", "rotate", "acme.test")
            assert made["selector"] == "s2"
            states = {key["selector"]: key["state"] for key in await relay.json("dkim", "list", "acme.test")}
            assert states == {"s1": "signing", "s2": "waiting"}
            assert (await looked(up))["state"] == "passing"
            assert await selectors(relay, sink) == ["s1"]

            dns.add(made["zone_line"].replace(" IN ", " "))
            await looked(up)
            assert await selectors(relay, sink) == ["s1"]
            clock.ahead += 3 * MINUTES
            assert (await looked(up))["signing"] == ["s2"]
            assert await selectors(relay, sink) == ["s2"]
            (told,) = [line for line in up.lines("domain.changed") if line["record"] == "signature rsa"]
            assert (told["was"], told["now"]) == ("s1", "s2")

            await relay.run("config", "reload")
            assert await selectors(relay, sink) == ["s2"]
            assert "resting" in await relay.run("dkim", "list", "acme.test")
            old, _ = await relay.json("dkim", "list", "acme.test")
            assert (old["state"], old["published"]) == ("resting", True)
            assert old["keep_published_until"] > old["signed_until"]
            with pytest.raises(AssertionError, match=r"ended with 1.*s1 signed until .*rotate again from"):
                await relay.run("dkim", "rotate", "acme.test")
        async with running(relay, clock):
            assert await selectors(relay, sink) == ["s2"]
            clock.ahead += 8 * 24 * 60 * MINUTES
            third = await relay.run("dkim", "rotate", "acme.test")
            assert "for the selector s1" in third
            assert "s1._domainkey.acme.test. IN TXT" in third
            assert await selectors(relay, sink) == ["s2"]
        assert not sink.violations


async def test_no_dns_answer_changes_nothing_and_a_missing_key_is_reported_once(folder: Path) -> None:
    async with Sink() as sink, DnsServer(ZONE + made_key(folder, "s1")) as dns:
        relay = configured(folder, sink, dns)
        async with running(relay) as up:
            assert (await looked(up))["state"] == "passing"
            told = len(up.lines("domain.changed"))
            everything = dns.trouble
            dns.trouble = dict.fromkeys({name for name, _ in dns._records}, "REFUSED")
            after = await looked(up)
            assert (after["state"], after["verified"], after["signing"]) == ("passing", True, ["s1"])
            assert len(up.lines("domain.changed")) == told
            dns.trouble = everything
            for name, kind in list(dns._records):
                if name.to_text().startswith("s1."):
                    del dns._records[name, kind]
            for _ in range(2):
                after = await looked(up)
                assert (after["state"], after["verified"]) == ("failing", False)
                assert after["wrong"] == ["TXT s1._domainkey.acme.test"]
            assert [(one["record"], one["was"], one["now"]) for one in up.lines("domain.changed")[told:]] == [
                ("", "passing", "failing"),
                ("TXT s1._domainkey.acme.test", "ok", "wrong"),
            ]
            assert await selectors(relay, sink) == ["s1"]
            async with aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(str(folder / "data/admin.sock"))
            ) as client:
                async with client.post("http://relay/domains/other.test/look") as answer:
                    assert (answer.status, await answer.text()) == (
                        404,
                        "other.test is not in the configuration of the server; its domains are: acme.test",
                    )
                async with client.post("http://relay/dkim/acme.test/rotate", json={"algorithm": "dsa"}) as answer:
                    assert answer.status == 400


async def test_each_kind_of_key_signs_and_only_one_of_it(folder: Path) -> None:
    edwards = made_key(folder, "e1", "ed25519-sha256")
    _, second = made_key(folder, "s1"), made_key(folder, "s2")
    async with Sink() as sink, DnsServer(ZONE + second) as dns:
        relay = configured(folder, sink, dns, DOMAIN.replace('["s1", "s2"]', '["s1", "e1", "s2"]'))
        async with running(relay) as up:
            await looked(up)
            assert await selectors(relay, sink) == ["s2"]
            dns.add(edwards)
            await looked(up)
            assert sorted(await selectors(relay, sink)) == ["e1", "s2"]


async def test_records_in_a_zone_of_the_operator(folder: Path) -> None:
    made_key(folder, "s1")
    extra = 'cname_target = "mail.operator.test"\nreturn_path = "bounces.acme.test"\n'
    inbound = '[[listener]]\nname = "mx"\nkind = "inbound"\naddress = "127.0.0.1:0"\n'
    async with Sink() as sink, DnsServer() as dns:
        relay = configured(folder, sink, dns, DOMAIN.replace("tracking", f"{extra}tracking") + inbound)
        records = await relay.json("domain", "records", "acme.test")
        aliases = {one["name"]: one["value"] for one in records if one["kind"] == "CNAME" and one["role"] != "tracking"}
        assert aliases == {
            name: f"{name}.mail.operator.test"
            for name in ("s1._domainkey.acme.test", "s2._domainkey.acme.test", "bounces.acme.test")
        }
        ours = {(one["name"], one["kind"]) for one in records if one["publisher"] == "operator"}
        assert ours == {
            ("s1._domainkey.acme.test.mail.operator.test", "TXT"),
            ("bounces.acme.test.mail.operator.test", "MX"),
            ("bounces.acme.test.mail.operator.test", "TXT"),
        }
        for one in (*records, *({"zone_line": line} for line in ZONE.splitlines()[:2])):
            if (one.get("name"), one.get("role")) != ("t.acme.test", "tracking"):
                dns.add(one["zone_line"].replace(" IN ", " "))
        dns.add("t.acme.test. CNAME relay.test.")
        async with running(relay) as up:
            listed = await looked(up)
            assert (listed["state"], listed["signing"], listed["verified"]) == ("passing", ["s1"], True)
            (made,) = await relay.json("dkim", "rotate", "acme.test")
            assert made["name"] == "s2._domainkey.acme.test.mail.operator.test"
