"""The test of a provider's login: by the steps of delivery, against real servers, and nothing is sent."""

import ssl
from typing import Any

import pytest
import trustme

from relay.config.settings import Settings
from relay.delivery.login_check import LoginAnswer, check_login
from relay.resolver import Resolver
from tests.ports import free_port
from tests.servers.dns_server import DnsServer
from tests.servers.sink import Drop, Say, Sink

LOGIN: dict[str, Any] = {"username": "acme", "password": "hunter2-hunter2"}


async def answer_of(port: int, resolver: Resolver | None = None, **more: Any) -> LoginAnswer:
    values = {"name": "news", "host": "127.0.0.1", "port": port, "tls": "none", **more}
    settings = Settings.model_validate({"server": {"hostname": "relay.test"}, "provider": [values]})
    assert settings.provider("news") is settings.providers[0]
    empty = settings.replaced({"providers": ()})
    assert empty.provider("news") is None
    return await check_login(settings.providers[0], empty, resolver or Resolver([("127.0.0.1", 9)]))


def server_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context


async def test_a_login_is_taken_refused_or_not_needed() -> None:
    async with Sink(extensions=("AUTH PLAIN",)) as sink:
        found = await answer_of(sink.port, **LOGIN)
        assert (found.result, found.works, found.text) == ("login", True, "without TLS")
        assert (await answer_of(sink.port)).result == "answer"
        sink.once("AUTH", Say("535 5.7.8 Authentication failed"))
        found = await answer_of(sink.port, **LOGIN)
        assert (found.result, found.phase, found.works) == ("refused", "auth", False)
        assert "535 5.7.8 Authentication failed" in found.text
        assert "password" in found.hint
        assert LOGIN["password"] not in repr(found)
        assert sink.messages == []
        assert sink.said("MAIL") == []
    found = await answer_of(sink.port, **LOGIN)
    assert (found.result, found.phase) == ("refused", "connect")
    assert "Nothing listens there" in found.hint


@pytest.mark.parametrize(("implicit", "tls"), [(False, "starttls"), (True, "implicit")])
async def test_a_login_over_tls(implicit: bool, tls: str) -> None:
    async with Sink(extensions=("AUTH PLAIN",), tls=server_tls(), implicit=implicit) as sink:
        found = await answer_of(sink.port, tls=tls, **LOGIN)
        assert (found.result, found.text) == ("login", "over TLS")
        assert sink.said("AUTH")


async def test_the_wrong_port_for_the_encryption_is_named() -> None:
    async with Sink() as plain:
        found = await answer_of(plain.port, tls="implicit")
        assert (found.result, "begins without TLS" in found.hint) == ("refused", True), found
        found = await answer_of(plain.port, tls="starttls")
        assert (found.result, "TLS from the start" in found.hint) == ("refused", True), found


async def test_the_octets_of_another_service_are_not_shown() -> None:
    async with Sink() as other:
        other.always("greeting", Say("SSH-2.0-Internal_7.4 secret-banner"))
        found = await answer_of(other.port)
        assert found.result == "refused"
        assert "secret-banner" not in found.text
        assert "no SMTP server" in found.text
        other.always("greeting", Say("554 5.7.1 Your address is blocked"))
        assert "Your address is blocked" in (await answer_of(other.port)).text
        other.always("greeting", Drop())
        assert (await answer_of(other.port)).result == "refused"


async def test_addresses_where_no_mail_server_is_are_not_asked() -> None:
    async with Sink() as sink, DnsServer("meta.test. A 169.254.169.254\nmail.test. A 127.0.0.1") as dns:
        resolver = Resolver([dns.endpoint])
        for host in ("169.254.169.254", "meta.test", "224.0.0.1", "0.0.0.0", "::ffff:169.254.169.254"):
            found = await answer_of(sink.port, resolver, host=host)
            assert (found.result, "where no mail server is" in found.text) == ("refused", True), (host, found)
        assert sink.connections == 0
        assert (await answer_of(sink.port, resolver, host="mail.test")).result == "answer"
        found = await answer_of(sink.port, resolver, host="none.test")
        assert (found.result, "has no address" in found.text) == ("refused", True)


async def test_an_account_with_oauth_is_not_asked_without_its_tokens() -> None:
    oauth = {"preset": "google", "flow": "user", "client_id": "a", "client_secret": "b"}
    found = await answer_of(free_port(), tls="starttls", username="a@acme.test", oauth=oauth)
    assert (found.result, found.works) == ("unknown", False)
