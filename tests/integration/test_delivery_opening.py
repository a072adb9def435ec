"""From the connection to the first transaction: greeting, EHLO, and which server is tried next."""

import asyncio

import pytest

from relay.queue.outcome import Deferred, Delivered
from tests.servers import DnsServer, Drop, Hang, Say, Sink, raw_server
from tests.servers.actions import Action
from tests.servers.jobs import job
from tests.servers.relay_harness import delivering, settings, timing_out
from tests.servers.waiting import PATIENCE

TWO_HOSTS = (
    "two.test. MX 10 first.two.test.\ntwo.test. MX 20 second.two.test.\nfirst.two.test. A {}\nsecond.two.test. A {}"
)

TROUBLES: list[tuple[str, Action, str]] = [
    ("greeting", Say("421 4.3.2 too busy", drop=True), "421 4.3.2 too busy"),
    ("greeting", Say("554 5.7.1 no SMTP here"), "554 5.7.1 no SMTP here"),
    ("greeting", Drop(), "451 4.4.2"),
    ("greeting", Hang(), "451 4.4.2"),
    ("greeting", Say(b"\x00\xff\xfe HTTP/1.1 400 Bad\r\n\r\n"), "451 4.5.0"),
    ("greeting", Say("250 2.0.0 hello?"), "451 4.5.0"),
    ("EHLO", Say("421 4.3.2 bye", drop=True), "421 4.3.2 bye"),
    ("EHLO", Say("450 4.7.1 later"), "450 4.7.1 later"),
    ("EHLO", Drop(), "451 4.4.2"),
    ("EHLO", Say("\r\n".join(f"250-X-FILL-{n} {'y' * 300}" for n in range(3000))), "451 4.5.0"),
]


@pytest.mark.parametrize(("moment", "action", "reply"), TROUBLES, ids=lambda value: str(value)[:40])
async def test_a_server_that_gives_no_session_defers_the_lane(moment: str, action: Action, reply: str) -> None:
    async with Sink() as sink, delivering(settings(sink.port)) as delivery:
        sink.once(moment, action)
        (outcome,) = await timing_out(delivery.deliver("provider:up", job()), sink)
        assert isinstance(outcome, Deferred)
        assert str(outcome.reply).startswith(reply)
        assert outcome.lane_down
        (outcome,) = await delivery.deliver("provider:up", job())
        assert isinstance(outcome, Delivered)


@pytest.mark.parametrize(
    ("moment", "reply"),
    [
        ("greeting", b"\r\n220 sink.test ESMTP\r\n"),
        ("greeting", b"\n \t\r\n220-sink.test\r\n\r\n220 ESMTP\r\n"),
        ("EHLO", b"\r\n250-sink.test\r\n\r\n250 PIPELINING\r\n"),
    ],
)
async def test_empty_lines_in_the_handshake_are_no_replies(moment: str, reply: bytes) -> None:
    async with Sink() as sink, delivering(settings(sink.port)) as delivery:
        sink.once(moment, Say(reply))
        (outcome,) = await timing_out(delivery.deliver("provider:up", job()), sink)
        assert isinstance(outcome, Delivered), outcome


async def test_an_endless_reply_ends_soon_and_delays_no_other_mail() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 endless.test\r\n")
        while True:
            writer.write(b"250-" + b"z" * 60 + b"\r\n")
            await writer.drain()
            await asyncio.sleep(0)

    async with raw_server(serve) as port, delivering(settings(port)) as delivery, asyncio.timeout(PATIENCE):
        (outcome,) = await delivery.deliver("provider:up", job())
        assert isinstance(outcome, Deferred)
        assert outcome.reply.status in ("4.5.0", "4.4.2")


async def test_a_refused_connection_defers() -> None:
    async with Sink() as sink:
        port = sink.port
    async with delivering(settings(port)) as delivery:
        (outcome,) = await delivery.deliver("provider:up", job())
        assert isinstance(outcome, Deferred)
        assert (outcome.reply.status, outcome.lane_down) == ("4.4.1", True)
        assert outcome.remote == f"[127.0.0.1]:{port}"


async def test_ehlo_unknown_means_helo_and_no_extensions() -> None:
    async with Sink(extensions=()) as sink, delivering(settings(sink.port)) as delivery:
        sink.once("EHLO", Say("502 5.5.2 not here"))
        (outcome,) = await delivery.deliver("provider:up", job())
        assert isinstance(outcome, Delivered)
        assert sink.commands[:3] == [
            "EHLO relay.acme.test",
            "HELO relay.acme.test",
            "MAIL FROM:<bounces@acme.test>",
        ]
        assert sink.violations == []


@pytest.mark.parametrize(
    "action", [Say("421 4.3.2 busy", drop=True), Say("554 5.7.1 no", drop=True), Drop(), Hang()], ids=str
)
async def test_the_next_host_is_tried_when_one_gives_no_session(action: Action) -> None:
    async with Sink() as first, Sink(address="127.0.0.2", port=first.port) as second:
        first.always("greeting", action)
        of = settings(first.port)
        async with DnsServer(TWO_HOSTS.format("127.0.0.1", "127.0.0.2")) as dns, delivering(of, dns) as delivery:
            (outcome,) = await timing_out(delivery.deliver("mx:two.test", job()), first)
            assert isinstance(outcome, Delivered)
            assert outcome.remote == f"second.two.test[127.0.0.2]:{first.port}"
            assert len(second.messages) == 1


async def test_a_host_that_failed_is_tried_last_for_a_while() -> None:
    now = 1000.0
    async with Sink() as first, Sink(address="127.0.0.2", port=first.port) as second:
        first.always("greeting", Say("421 4.3.2 busy", drop=True))
        of = settings(first.port, messages_per_connection=1)
        zone = DnsServer(TWO_HOSTS.format("127.0.0.1", "127.0.0.2"))
        async with zone as dns, delivering(of, dns, steady=lambda: now) as delivery:
            await delivery.deliver("mx:two.test", job())
            await delivery.deliver("mx:two.test", job())
            assert (first.connections, len(second.messages)) == (1, 2)
            now += 61
            await delivery.deliver("mx:two.test", job())
            assert (first.connections, len(second.messages)) == (2, 3)


async def test_a_bounded_number_of_hosts_is_looked_up() -> None:
    zone = "\n".join(f"many.test. MX {n} h{n}.many.test.\nh{n}.many.test. A 127.0.1.{n}" for n in range(1, 100))
    async with Sink() as sink, DnsServer(zone) as dns, delivering(settings(sink.port), dns) as delivery:
        (outcome,) = await delivery.deliver("mx:many.test", job())
        assert isinstance(outcome, Deferred)
        assert outcome.remote == f"h20.many.test[127.0.1.20]:{sink.port}"
        assert len({name for name, _ in dns.questions}) == 21


async def test_an_unknown_provider_defers_the_lane() -> None:
    async with delivering(settings()) as delivery:
        (outcome,) = await delivery.deliver("provider:gone", job())
        assert isinstance(outcome, Deferred)
        assert (outcome.reply.status, outcome.lane_down) == ("4.3.5", True)
