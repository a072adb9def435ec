"""From the connection to the first transaction: greeting, EHLO, TLS, AUTH, and which server is tried next."""

import asyncio
import ssl

import pytest
import trustme

from relay.delivery.connect import TlsContexts
from relay.queue.outcome import Deferred, Delivered
from tests.servers import DnsServer, Drop, Hang, Say, Sink, raw_server
from tests.servers.actions import Action
from tests.servers.jobs import job
from tests.servers.relay_harness import delivering, settings, timing_out
from tests.servers.waiting import PATIENCE

ZONE = "example.test. MX 10 mx.example.test.\nmx.example.test. A 127.0.0.1"

TWO_HOSTS = (
    "two.test. MX 10 first.two.test.\ntwo.test. MX 20 second.two.test.\nfirst.two.test. A {}\nsecond.two.test. A {}"
)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("mx.example.test", "provider.test").configure_cert(context)
    return context


@pytest.fixture
def trusting(authority: trustme.CA) -> TlsContexts:
    """Trust in the test's own authority instead of the system's."""

    def verifying() -> ssl.SSLContext:
        context = ssl.create_default_context()
        authority.configure_trust(context)
        return context

    return TlsContexts(verifying)


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


async def test_opportunistic_tls_takes_any_certificate() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("somebody-else.test").configure_cert(context)
    async with Sink(tls=context) as sink, DnsServer(ZONE) as dns, delivering(settings(sink.port), dns) as delivery:
        (outcome,) = await delivery.deliver("mx:example.test", job())
        assert isinstance(outcome, Delivered)
        assert sink.messages[0].tls
        assert len(sink.said("EHLO")) == 2
        assert sink.violations == []


GARBLED = Say(b"220 2.0.0 go\r\n\x15\x03\x01\x00\x02\x02\x28", drop=True)

TLS_TROUBLES = [Say("454 4.7.0 TLS not available"), GARBLED, Say("220 2.0.0 go", drop=True)]


@pytest.mark.parametrize("action", TLS_TROUBLES, ids=str)
async def test_when_tls_fails_clear_text_is_used_and_remembered(action: Action, server_tls: ssl.SSLContext) -> None:
    async with Sink(tls=server_tls) as sink, DnsServer(ZONE) as dns:
        sink.once("STARTTLS", action)
        now = 0.0
        of = settings(sink.port, messages_per_connection=1)
        async with delivering(of, dns, steady=lambda: now) as delivery:
            for later in (0, 10, 4000):
                now += later
                (outcome,) = await delivery.deliver("mx:example.test", job())
                assert isinstance(outcome, Delivered)
        assert [message.tls for message in sink.messages] == [False, False, True]
        assert sink.connections == 4


@pytest.mark.parametrize("action", TLS_TROUBLES, ids=str)
async def test_required_tls_never_falls_back(action: Action, server_tls: ssl.SSLContext) -> None:
    of_this = Sink(tls=server_tls)
    async with of_this as sink, DnsServer(ZONE) as dns, delivering(settings(sink.port, tls="require"), dns) as delivery:
        sink.once("STARTTLS", action)
        (outcome,) = await delivery.deliver("mx:example.test", job())
        assert isinstance(outcome, Deferred)
        assert outcome.lane_down
        assert outcome.reply.status in ("4.7.0", "4.7.5")
        assert sink.messages == []
        (outcome,) = await delivery.deliver("mx:example.test", job())
        assert isinstance(outcome, Delivered)
        assert sink.messages[0].tls


async def test_required_tls_that_is_not_offered() -> None:
    async with Sink() as sink, DnsServer(ZONE) as dns, delivering(settings(sink.port, tls="require"), dns) as delivery:
        (outcome,) = await delivery.deliver("mx:example.test", job())
        assert isinstance(outcome, Deferred)
        assert (outcome.reply.status, outcome.lane_down) == ("4.7.5", True)


async def test_tls_turned_off_is_not_asked_for(server_tls: ssl.SSLContext) -> None:
    of_this = Sink(tls=server_tls)
    async with of_this as sink, DnsServer(ZONE) as dns, delivering(settings(sink.port, tls="none"), dns) as delivery:
        (outcome,) = await delivery.deliver("mx:example.test", job())
        assert isinstance(outcome, Delivered)
        assert sink.said("STARTTLS") == []


async def test_clear_text_behind_220_is_not_taken_for_a_reply_inside_tls(server_tls: ssl.SSLContext) -> None:
    """RFC 3207 section 4.2 and the STARTTLS injection of 2011."""
    extensions = ("8BITMIME",)
    async with Sink(tls=server_tls, extensions=extensions) as sink, DnsServer(ZONE) as dns:
        sink.always("STARTTLS", Say("220 2.0.0 go\r\n250-sink.test\r\n250-X-INJECTED\r\n250 PIPELINING"))
        async with delivering(settings(sink.port), dns) as delivery:
            await delivery.deliver("mx:example.test", job())
        assert sink.violations == []


PROVIDER = "provider.test. A 0.0.0.0\nother.test. A 0.0.0.0"
"""An address that is this machine, and not a loopback address by name."""


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_a_provider_has_to_prove_its_name(tls: str, server_tls: ssl.SSLContext, trusting: TlsContexts) -> None:
    async with Sink(tls=server_tls, implicit=tls == "implicit") as sink, DnsServer(PROVIDER) as dns:
        of = settings(sink.port, {"host": "provider.test", "tls": tls})
        async with delivering(of, dns, tls_contexts=trusting) as delivery:
            (outcome,) = await delivery.deliver("provider:up", job())
            assert isinstance(outcome, Delivered)
            assert outcome.remote == f"provider.test[0.0.0.0]:{sink.port}"
            assert sink.messages[0].tls


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
@pytest.mark.parametrize(("host", "trusted"), [("other.test", True), ("provider.test", False)])
async def test_a_provider_that_cannot_is_given_nothing(
    tls: str, host: str, trusted: bool, server_tls: ssl.SSLContext, trusting: TlsContexts
) -> None:
    async with Sink(tls=server_tls, implicit=tls == "implicit") as sink, DnsServer(PROVIDER) as dns:
        of = settings(sink.port, {"host": host, "tls": tls, "username": "u", "password": "p"})
        async with delivering(of, dns, tls_contexts=trusting if trusted else TlsContexts()) as delivery:
            (outcome,) = await delivery.deliver("provider:up", job())
            assert isinstance(outcome, Deferred)
            assert (outcome.reply.status, outcome.lane_down) == ("4.7.5", True)
            assert "certificate" in outcome.reply.text.lower()
            assert sink.messages == []
            assert sink.said("AUTH") == []


async def test_no_password_is_sent_in_clear_text_except_to_a_loopback_address() -> None:
    async with Sink(extensions=("AUTH PLAIN",)) as sink, DnsServer(PROVIDER) as dns:
        login = {"tls": "none", "username": "u", "password": "p"}
        async with delivering(settings(sink.port, {"host": "provider.test", **login}), dns) as delivery:
            (outcome,) = await delivery.deliver("provider:up", job())
            assert isinstance(outcome, Deferred)
            assert (outcome.reply.status, outcome.lane_down) == ("4.7.0", True)
            assert sink.said("AUTH") == []
        async with delivering(settings(sink.port, {"host": "localhost", **login}), dns) as delivery:
            (outcome,) = await delivery.deliver("provider:up", job())
            assert isinstance(outcome, Delivered)
            assert sink.messages[0].login == "u:p"


@pytest.mark.parametrize("username", ["", "user"])
async def test_implicit_tls_begins_before_the_greeting(username: str, server_tls: ssl.SSLContext) -> None:
    async with Sink(tls=server_tls, implicit=True, extensions=("AUTH PLAIN", "PIPELINING")) as sink:
        of = settings(sink.port, {"tls": "implicit", "username": username, "password": "s3cret"})
        async with delivering(of) as delivery:
            (outcome,) = await delivery.deliver("provider:up", job())
            assert isinstance(outcome, Delivered)
            assert sink.messages[0].login == ("user:s3cret" if username else "")


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
async def test_auth_before_the_first_mail(mechanism: str, server_tls: ssl.SSLContext) -> None:
    async with Sink(tls=server_tls, extensions=(f"AUTH {mechanism}", "PIPELINING")) as sink:
        of = settings(sink.port, {"tls": "starttls", "username": "user", "password": "pä§§"})
        async with delivering(of) as delivery:
            (outcome,) = await delivery.deliver("provider:up", job())
            assert isinstance(outcome, Delivered)
            assert (sink.messages[0].login, sink.messages[0].tls) == ("user:pä§§", True)


async def test_a_refused_password_defers_the_lane_and_does_not_show_it() -> None:
    async with Sink(extensions=("AUTH PLAIN",)) as sink:
        sink.always("AUTH", Say("535 5.7.8 bad credentials"))
        of = settings(sink.port, {"username": "user", "password": "hunter2"})
        async with delivering(of) as delivery:
            (outcome,) = await delivery.deliver("provider:up", job())
            assert isinstance(outcome, Deferred)
            assert (outcome.reply.code, outcome.reply.status, outcome.lane_down) == (454, "4.7.0", True)
            assert "535 5.7.8 bad credentials" in outcome.reply.text
            assert "hunter2" not in outcome.reply.text


async def test_auth_that_is_not_offered_defers_the_lane() -> None:
    async with Sink() as sink, delivering(settings(sink.port, {"username": "u", "password": "p"})) as delivery:
        (outcome,) = await delivery.deliver("provider:up", job())
        assert isinstance(outcome, Deferred)
        assert (outcome.reply.status, outcome.lane_down) == ("4.7.0", True)
        assert sink.messages == []


async def test_an_unknown_provider_defers_the_lane() -> None:
    async with delivering(settings()) as delivery:
        (outcome,) = await delivery.deliver("provider:gone", job())
        assert isinstance(outcome, Deferred)
        assert (outcome.reply.status, outcome.lane_down) == ("4.3.5", True)
