"""Listeners with TLS in a whole relay: one PEM file for certificate and key, AUTH only where nobody can listen."""

import asyncio
import smtplib
import ssl
from pathlib import Path

import pytest
import trustme

from relay.config.secret_hash import hash_secret
from tests.integration.mail_helpers import timeline
from tests.ports import free_port
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink

MAIL = b"From: a@acme.test\r\nTo: u@rcpt.test\r\nSubject: hello\r\n\r\nHello\r\n"


def listener(tls: str, port: int, pem: Path) -> str:
    return f"""
[[listener]]
name = "secure"
address = "127.0.0.1:{port}"
tls = "{tls}"
certificate = "{pem.name}"
auth = "required"
[credentials.app1]
secret_hash = "{hash_secret("s3cret", bytes(16))}"
"""


def send(tls: str, port: int, trust: ssl.SSLContext) -> None:
    """Log in and send; nothing may be sent before."""
    client = (
        smtplib.SMTP_SSL("localhost", port, timeout=20, context=trust)
        if tls == "implicit"
        else smtplib.SMTP("localhost", port, timeout=20)
    )
    with client:
        if tls == "starttls":
            client.starttls(context=trust)
        with pytest.raises(smtplib.SMTPSenderRefused, match="530"):
            client.sendmail("a@acme.test", ["u@rcpt.test"], MAIL)
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login("app1", "wrong")
        client.login("app1", "s3cret")
        client.sendmail("a@acme.test", ["u@rcpt.test"], MAIL)


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_a_listener_with_certificate_and_key_in_one_file(tmp_path: Path, tls: str) -> None:
    authority = trustme.CA()
    pem = tmp_path / "mail.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(pem))
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    port = free_port()
    async with Sink() as sink, RelayProcess(tmp_path, sink.port, listener(tls, port, pem)) as relay:
        while not relay.log("server.started"):
            await asyncio.sleep(0.02)
        await asyncio.to_thread(send, tls, port, trust)
        (got,) = await sink.received(1)
        assert b"with ESMTPSA id" in got.content
        # smtplib tries PLAIN, then LOGIN.
        assert [line["credential"] for line in relay.log("smtp.auth_failed")] == ["app1", "app1"]
        await timeline(relay, "u@rcpt.test", "delivered")


async def test_a_certificate_without_a_key_is_reported_at_start(tmp_path: Path) -> None:
    pem = tmp_path / "mail.pem"
    trustme.CA().issue_cert("localhost").cert_chain_pems[0].write_to_path(str(pem))
    relay = RelayProcess(tmp_path, 9, listener("starttls", free_port(), pem))
    (tmp_path / "data").mkdir()
    with pytest.raises(AssertionError, match=r"ended with 78"):
        await relay.start()
    assert str(pem) in relay.log_file.read_text()
