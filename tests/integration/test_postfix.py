"""Delivery into Debian's Postfix: `smtp-sink`, and a whole instance with STARTTLS."""

import asyncio
import re
import smtplib
from pathlib import Path
from typing import Any

import dkim
import pytest

from relay.domains.key_files import write_key
from relay.mailauth.dkim_keys import dns_record, generate_key, load_key
from tests.integration.mail_helpers import story
from tests.ports import free_port
from tests.servers.dns_server import DnsServer
from tests.servers.postfix import Postfix, need_postfix, smtp_sink
from tests.servers.relay_process import RelayProcess

MAIL = (
    "From: Acme <news@acme.test>\r\nTo: u@rcpt.test\r\nSubject: Grüße\r\n"
    "MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    '<html><body><p>.</p>\r\n.\r\n..\r\n<p><a href="https://shop.acme.test/?a=1&amp;b=2">Läden</a></p></body></html>'
    "\r\n"
).encode()


def send(port: int) -> str:
    """Send by smtplib; return the queue id."""
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        client.ehlo()
        client.mail("news@acme.test", ["BODY=8BITMIME"])
        client.rcpt("u@rcpt.test")
        code, text = client.data(MAIL)
        assert code == 250, text
        return text.decode().rsplit(" ", 1)[1]


def signing_key(data_dir: Path) -> bytes:
    """Put a key for acme.test where the relay finds it and return its DNS record."""
    data_dir.mkdir()
    key = generate_key("rsa-sha256")
    write_key(data_dir, "acme.test", "s1", key)
    return dns_record(load_key(key, "acme.test", "s1")).encode()


def verifies(content: bytes, record: bytes) -> bool:
    """Tell what dkimpy thinks of the signature."""
    return bool(dkim.verify(content, dnsfunc=lambda name, timeout=5: record))  # type: ignore[no-untyped-call]


async def delivered(relay: RelayProcess, queue_id: str) -> dict[str, Any]:
    """Return the event that says where the message went, once it is there."""
    found = await story(relay, queue_id, "delivered")
    assert [recipient["status"] for recipient in found["recipients"]] == ["delivered"]
    return next(event for event in found["events"] if event["event"] == "delivered")


async def assert_arrived_over_tls(postfix: Postfix, record: bytes, queue_id: str) -> None:
    """What lies in Postfix's mailbox came encrypted, is signed, tracked and whole."""
    (content,) = await postfix.contents(1)
    (message,) = await postfix.received(1)
    first, ours = message.get_all("Received", [])
    assert "using TLSv1.3" in first
    assert queue_id in ours
    assert message["Return-Path"] == "<news@acme.test>"
    assert re.search(rb'href="http://127\.0\.0\.1:\d+/c/', content)
    assert b"<p>.</p>\r\n.\r\n..\r\n" in content
    assert "Läden".encode() in content
    delivered_fields = content.index(b"DKIM-Signature:")
    assert verifies(content[delivered_fields:], record)


async def test_smtp_sink_takes_what_a_provider_is_given(tmp_path: Path) -> None:
    record = signing_key(tmp_path / "data")
    folder = tmp_path / "sink"
    async with (
        smtp_sink(folder) as port,
        RelayProcess(tmp_path, port, '[domains."acme.test".dkim]\nselectors = ["s1"]') as relay,
    ):
        event = await delivered(relay, await asyncio.to_thread(send, relay.port))
        assert event["lane"] == "provider:sink"
        assert event["reply"].startswith("250 2.0.0")
        (file,) = folder.iterdir()
        content = file.read_bytes().replace(b"\n", b"\r\n")
        assert verifies(content[content.index(b"DKIM-Signature:") :].removesuffix(b"\r\n"), record)


@pytest.mark.parametrize("way", ["provider", "mx"])
async def test_a_whole_postfix_takes_mail_over_starttls(tmp_path: Path, way: str) -> None:
    need_postfix()
    record = signing_key(tmp_path / "data")
    zone = "rcpt.test. MX 10 mx.rcpt.test.\nmx.rcpt.test. A 127.0.0.1"
    async with Postfix("rcpt.test") as postfix, DnsServer(zone) as dns:
        provider = "postfix" if way == "provider" else "direct"
        more = f"""
[[provider]]
name = "postfix"
host = "127.0.0.1"
port = {postfix.port}
tls = "starttls"
[domains."acme.test"]
provider = "{provider}"
dkim = {{ selectors = ["s1"] }}
[resolver]
nameservers = ["127.0.0.1:{dns.port}"]
[delivery]
port = {postfix.port}
allow_networks = ["127.0.0.0/8"]
"""
        async with RelayProcess(tmp_path, free_port(), more) as relay:
            queue_id = await asyncio.to_thread(send, relay.port)
            event = await delivered(relay, queue_id)
            assert event["lane"] == ("provider:postfix" if way == "provider" else "mx:rcpt.test")
            assert event["reply"].startswith("250 2.0.0 Ok: queued as")
            assert f"127.0.0.1]:{postfix.port}" in event["remote"]
            await assert_arrived_over_tls(postfix, record, queue_id)
            assert any("rcpt.test" in name for name, _ in dns.questions) is (way == "mx")
