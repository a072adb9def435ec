"""The proof of a reverse-path by SPF or DKIM, of a stored message."""

import pytest

from relay.mail.received import helo_in, received
from relay.mail.transaction import Envelope, Recipient, Session
from relay.mailauth import bounded_lookups
from relay.mailauth.sender_authentication import prove_sender
from tests.servers.dns_server import DnsServer

CLIENT = "192.0.2.7"

CONTENT = b"From: app@acme.test\r\nSubject: x\r\n\r\nx\r\n"


@pytest.mark.parametrize(
    ("client", "path", "proven"),
    [
        (CLIENT, "x@bank.test", True),
        (CLIENT, "x@named.test", True),
        ("192.0.2.8", "x@bank.test", False),
        (CLIENT, "x@other.test", False),
        ("", "x@bank.test", False),
        (CLIENT, "", False),
    ],
)
async def test_spf_proves_the_reverse_path_for_the_stored_client_and_helo(client: str, path: str, proven: bool) -> None:
    zone = (
        f'bank.test. TXT "v=spf1 ip4:{CLIENT} -all"\n'
        'named.test. TXT "v=spf1 exists:%{h}.ok.test -all"\n'
        "mx.client.test.ok.test. A 127.0.0.2"
    )
    async with DnsServer(zone) as dns:
        assert await prove_sender(dns.resolver(), CONTENT, client, "mx.client.test", path) is proven


async def test_without_an_answer_of_dns_in_time_nothing_is_proven(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_lookups, "PROOF_SECONDS", 0.2)
    async with DnsServer('bank.test. TXT "v=spf1 a:slow.test -all"', {"slow.test": "silent"}) as dns:
        assert not await prove_sender(dns.resolver(), CONTENT, CLIENT, "mx", "x@bank.test")


@pytest.mark.parametrize("helo", ["mx.client.test", "[192.0.2.7]", "münchen.test"])
def test_the_helo_name_is_in_the_added_fields(helo: str) -> None:
    session = Session("main", "submission", CLIENT, helo)
    line = received("Q", session, Envelope("a@b.test", (Recipient("c@d.test"),)), "relay.test", 0.0)
    assert helo_in(f"{line}\r\nDate: x\r\n".encode()) == helo
    assert helo_in(b"Date: x\r\n") == ""
