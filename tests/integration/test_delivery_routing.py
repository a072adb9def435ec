"""Where mail for a domain goes, and where it never goes, with a real name server and real listeners."""

import pytest

from relay.config.settings import Settings
from relay.queue.outcome import Deferred, Delivered, Refused
from tests.servers import DnsServer, Sink
from tests.servers.dns_server import Trouble
from tests.servers.jobs import job
from tests.servers.relay_harness import delivering, make_delivery, settings


@pytest.mark.parametrize(
    ("zone", "reply"),
    [
        ("d.test. MX 0 .\nd.test. A 127.0.0.1", "556 5.1.10"),
        ("other.test. A 127.0.0.1", "550 5.1.2"),
        ("d.test. TXT nothing-else", "550 5.4.4"),
        ("d.test. MX 10 mx.gone.test.", "550 5.4.4"),
        ("d.test. MX 10 127.0.0.1.", "550 5.4.4"),
        ("d.test. MX 10 relay.acme.test.\nrelay.acme.test. A 127.0.0.1", "550 5.4.6"),
    ],
    ids=["null MX", "no such domain", "no address", "MX that does not exist", "MX that is an address", "ourselves"],
)
async def test_a_domain_that_takes_no_mail_bounces(zone: str, reply: str) -> None:
    async with Sink() as sink, DnsServer(zone) as dns, delivering(settings(sink.port), dns) as delivery:
        (outcome,) = await delivery.deliver("mx:d.test", job())
        assert isinstance(outcome, Refused)
        assert str(outcome.reply).startswith(reply)
        assert sink.connections == 0


@pytest.mark.parametrize("trouble", ["SERVFAIL", "REFUSED", "silent", "garbage"])
@pytest.mark.parametrize("where", ["d.test", "mx.elsewhere.test"])
async def test_dns_trouble_is_temporary(trouble: Trouble, where: str) -> None:
    zone = DnsServer("d.test. MX 10 mx.elsewhere.test.", {where: trouble})
    async with Sink() as sink, zone as dns, delivering(settings(sink.port), dns) as delivery:
        (outcome,) = await delivery.deliver("mx:d.test", job())
        assert isinstance(outcome, Deferred)
        assert (outcome.reply.code, outcome.reply.status, outcome.lane_down) == (451, "4.4.3", True)


@pytest.mark.parametrize(
    "zone",
    [
        "d.test. MX 10 mx.d.test.\nmx.d.test. A 127.0.0.1",
        "d.test. A 127.0.0.1",
        "d.test. CNAME real.test.\nreal.test. MX 10 mx.real.test.\nmx.real.test. A 127.0.0.1",
        "d.test. MX 0 .\nd.test. MX 10 mx.d.test.\nmx.d.test. A 127.0.0.1",
        "d.test. MX 10 dead.d.test.\nd.test. MX 20 mx.d.test.\ndead.d.test. A 127.0.0.9\nmx.d.test. A 127.0.0.1",
        "d.test. MX 10 gone.d.test.\nd.test. MX 20 mx.d.test.\nmx.d.test. A 127.0.0.1",
        "d.test. MX 5 mx.d.test.\nd.test. MX 10 relay.acme.test.\nmx.d.test. A 127.0.0.1",
        "d.test. MX 10 mx.d.test.\nmx.d.test. A 127.0.0.9\nmx.d.test. A 127.0.0.1",
    ],
    ids=[
        *("MX", "implicit MX", "CNAME", "null MX beside another", "second host", "first host without address"),
        *("ourselves behind it", "second address"),
    ],
)
async def test_mail_is_delivered_to_the_hosts_of_the_domain(zone: str) -> None:
    async with Sink() as sink, DnsServer(zone) as dns, delivering(settings(sink.port), dns) as delivery:
        (outcome,) = await delivery.deliver("mx:d.test", job())
        assert isinstance(outcome, Delivered)
        assert outcome.remote.endswith(f"[127.0.0.1]:{sink.port}")


@pytest.mark.parametrize("trouble", ["truncated", "forged"])
async def test_delivers_in_spite_of(trouble: Trouble) -> None:
    zone = DnsServer("d.test. MX 10 mx.d.test.\nmx.d.test. A 127.0.0.1", {"d.test": trouble})
    async with Sink() as sink, zone as dns, delivering(settings(sink.port), dns) as delivery:
        (outcome,) = await delivery.deliver("mx:d.test", job())
        assert isinstance(outcome, Delivered)


async def test_ipv6_and_ipv4_are_both_tried() -> None:
    zone = "d.test. MX 10 mx.d.test.\nmx.d.test. AAAA ::1\nmx.d.test. A 127.0.0.1"
    async with Sink() as sink, DnsServer(zone) as dns, delivering(settings(sink.port), dns) as delivery:
        (outcome,) = await delivery.deliver("mx:d.test", job())
        assert isinstance(outcome, Delivered)
        assert {"AAAA", "A"} <= {kind for _, kind in dns.questions}


async def test_without_ipv6_nobody_asks_for_it() -> None:
    zone = "d.test. MX 10 mx.d.test.\nmx.d.test. AAAA ::1\nmx.d.test. A 127.0.0.1"
    async with Sink() as sink, DnsServer(zone) as dns, delivering(settings(sink.port, ipv6=False), dns) as delivery:
        (outcome,) = await delivery.deliver("mx:d.test", job())
        assert isinstance(outcome, Delivered)
        assert "AAAA" not in {kind for _, kind in dns.questions}


def guarded(sink: Sink) -> Settings:
    """Return settings in which no network is opened to deliveries by DNS."""
    return settings(sink.port, allow_networks=[])


FORBIDDEN = [
    *("A 127.0.0.1", "A 127.0.0.2", "A 10.0.0.1", "A 172.16.0.1", "A 192.168.0.1", "A 169.254.169.254", "A 0.0.0.0"),
    *("A 224.0.0.1", "A 255.255.255.255", "A 100.64.0.1", "AAAA ::1", "AAAA ::ffff:127.0.0.1", "AAAA fd00::1"),
    *("AAAA fe80::1", "AAAA ::", "AAAA 64:ff9b::7f00:1", "AAAA 2002:7f00:1::", "AAAA ff02::1"),
]


@pytest.mark.parametrize("record", FORBIDDEN)
@pytest.mark.parametrize("zone", ["d.test. MX 10 mx.d.test.\nmx.d.test. {}", "d.test. {}"], ids=["MX", "implicit"])
async def test_private_addresses_are_refused(zone: str, record: str) -> None:
    written = DnsServer(zone.format(record))
    async with Sink(address="") as sink, written as dns, delivering(guarded(sink), dns) as delivery:
        (outcome,) = await delivery.deliver("mx:d.test", job())
        assert isinstance(outcome, Refused)
        assert (outcome.reply.code, outcome.reply.status) == (550, "5.4.4")
        assert sink.connections == 0


@pytest.mark.parametrize(
    "domain",
    [
        *("[127.0.0.1]", "[10.0.0.1]", "[IPv6:::1]", "[IPv6:::ffff:127.0.0.1]", "[0.0.0.0]", "[x]", "[]"),
        *("localhost", "127.0.0.1", "2130706433", "0x7f000001", "127.1", "", "a..b", "-.test", "a b"),
    ],
)
async def test_no_spelling_of_an_address_reaches_this_machine(domain: str) -> None:
    zone = DnsServer("localhost. A 127.0.0.1")
    async with Sink(address="") as sink, zone as dns, delivering(guarded(sink), dns) as delivery:
        (outcome,) = await delivery.deliver(f"mx:{domain}", job())
        assert isinstance(outcome, Refused)
        assert outcome.reply.status in ("5.4.4", "5.1.2")
        assert sink.connections == 0


async def test_an_allowed_literal_is_delivered_to() -> None:
    async with Sink() as sink, delivering(settings(sink.port)) as delivery:
        (outcome,) = await delivery.deliver("mx:[127.0.0.1]", job("postmaster@[127.0.0.1]"))
        assert isinstance(outcome, Delivered)
        assert outcome.remote == f"[127.0.0.1]:{sink.port}"


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize("lane", ["mx:d.test", "mx:[127.0.0.1]"])
async def test_mail_does_not_come_back_to_our_own_listener(lane: str, address: str) -> None:
    async with Sink() as sink, DnsServer("d.test. MX 10 mx.d.test.\nmx.d.test. A 127.0.0.1") as dns:
        base = settings(sink.port)
        listening = {"listener": [{"name": "mx", "kind": "inbound", "address": f"{address}:{sink.port}"}]}
        of = Settings.model_validate(base.as_toml_shape() | listening)
        delivery = make_delivery(lambda: of, dns.resolver())
        (outcome,) = await delivery.deliver(lane, job())
        assert isinstance(outcome, Refused)
        assert outcome.reply.status == "5.4.6"
        assert sink.connections == 0
        await delivery.close()


@pytest.mark.parametrize(
    ("kind", "domains", "taken"),
    [
        ("inbound", {"acme.test": {"return_path": "d.test"}}, True),
        ("inbound", {"acme.test": {"reply_domain": "d.test"}}, True),
        ("inbound", {"acme.test": {"return_path": "e.test"}}, False),
        ("submission", {"acme.test": {"return_path": "d.test"}}, False),
    ],
)
async def test_bounces_and_answers_reach_our_own_inbound_listener(
    kind: str, domains: dict[str, dict[str, str]], taken: bool
) -> None:
    zone = "d.test. MX 10 relay.acme.test.\nrelay.acme.test. A 127.0.0.1"
    async with Sink() as sink, DnsServer(zone) as dns:
        listening = {
            "listener": [{"name": "mx", "kind": kind, "address": f"127.0.0.1:{sink.port}"}],
            "domains": domains,
        }
        of = Settings.model_validate(settings(sink.port).as_toml_shape() | listening)
        async with delivering(of, dns) as delivery:
            (outcome,) = await delivery.deliver("mx:d.test", job())
            assert isinstance(outcome, Delivered) is taken
