"""Whose mail exchanger a domain has, by a real name server."""

import pytest

from relay.config.settings import Settings
from relay.domains.mail_exchanger import MailExchanger, MailExchangers, find_mail_exchanger
from tests.servers.dns_server import DnsServer

ZONE = """
relay.test. A 192.0.2.1
alias.test. A 192.0.2.1
own.test. MX 10 relay.test.
own.test. MX 20 backup.test.
address.test. MX 10 alias.test.
implicit.test. A 192.0.2.1
listener.test. MX 10 mx.listener.test.
mx.listener.test. A 192.0.2.7
backup.test. A 192.0.2.9
second.test. MX 10 backup.test.
second.test. MX 20 relay.test.
other.test. MX 10 backup.test.
null.test. MX 0 .
txt.test. TXT "nothing else"
dead.test. MX 10 nowhere.test.
"""

SETTINGS = Settings.model_validate(
    {
        "server": {"hostname": "relay.test"},
        "listener": [{"name": "mx", "kind": "inbound", "address": "192.0.2.7:25"}],
        "identities": {"a@own.test": {}, "b@late.test": {}},
    }
)


@pytest.mark.parametrize(
    ("domain", "kind", "told"),
    [
        ("own.test", "own", "relay.test"),
        ("address.test", "own", "alias.test"),
        ("implicit.test", "own", "implicit.test"),
        ("listener.test", "own", "mx.listener.test"),
        ("second.test", "other", "backup.test"),
        ("other.test", "other", "backup.test"),
        ("null.test", "none", "null MX"),
        ("txt.test", "none", "neither MX nor address"),
        ("dead.test", "none", "nowhere.test has no address"),
        ("missing.test", "none", "does not exist"),
        ("late.test", "unknown", "no answer for late.test"),
    ],
)
async def test_the_best_exchanger_decides(domain: str, kind: str, told: str) -> None:
    async with DnsServer(ZONE, {"late.test": "SERVFAIL"}) as names:
        found = await find_mail_exchanger(names.resolver(), SETTINGS, domain)
    assert found.kind == kind
    assert found.leads_here is (kind == "own" or domain == "second.test")
    assert told in f"{found.hosts} {found.why}"


async def test_without_an_inbound_listener_nothing_comes_here() -> None:
    async with DnsServer(ZONE) as names:
        found = await find_mail_exchanger(names.resolver(), Settings(), "own.test")
    assert found == MailExchanger("other", ("relay.test",))


async def test_an_answer_holds_while_dns_is_silent_and_no_longer() -> None:
    async with DnsServer(ZONE) as names:
        exchangers = MailExchangers(lambda: SETTINGS, names.resolver)
        assert exchangers("own.test").kind == "unknown"
        await exchangers.refresh_soon()
        assert (exchangers("own.test").kind, exchangers("late.test").kind) == ("own", "none")
        names.trouble = DnsServer(trouble={"own.test": "SERVFAIL"}).trouble
        await exchangers.refresh()
        assert exchangers("own.test").kind == "own"
    async with DnsServer("own.test. MX 10 other.test.\nother.test. A 192.0.2.2") as names:
        assert (await find_mail_exchanger(names.resolver(), SETTINGS, "own.test")).kind == "other"
