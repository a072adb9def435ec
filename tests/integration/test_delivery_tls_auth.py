"""TLS and AUTH before the first transaction: what is required and remembered, and what never leaves in clear text."""

import ssl

import pytest
import trustme

from relay.delivery.connect import TlsContexts
from relay.queue.outcome import Deferred, Delivered
from tests.servers import DnsServer, Say, Sink
from tests.servers.actions import Action
from tests.servers.jobs import job
from tests.servers.relay_harness import delivering, settings

ZONE = "example.test. MX 10 mx.example.test.\nmx.example.test. A 127.0.0.1"


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
