"""Every refusal, failed handshake and lost transaction leaves one line that names the client and the reason."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from relay.smtp_in import tls_context
from tests.servers.smtp_in_harness import Client, Harness, base64, serving
from tests.servers.waiting import until


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[Harness]:
    async with serving(tmp_path, smtp={"max_errors": 100}) as running:
        yield running


async def connected(harness: Harness) -> Client:
    """Return a client that has read its greeting."""
    client = await harness.connect()
    assert (await client.reply()).startswith("220 ")
    return client


WRONG = base64("\0ann\0guess")


@pytest.mark.parametrize(
    ("commands", "line", "command"),
    [
        (("EHLO",), "smtp.refused", "EHLO"),
        (("MAIL FROM:<a@b.test>",), "smtp.refused", "MAIL"),
        (("EHLO x", "AUTH CRAM-MD5"), "smtp.refused", "AUTH"),
        (("EHLO x", "AUTH LOGIN", "!!!"), "smtp.refused", "AUTH"),
        (("EHLO x", "RCPT TO:<a@b.test>"), "smtp.refused", "RCPT"),
        (("EHLO x", "MAIL FROM:<a@b.test>", "RCPT TO:<nonsense>"), "smtp.refused", "RCPT"),
        (("EHLO x", "MAIL FROM:<a@b.test>", "DATA"), "smtp.refused", "DATA"),
        (("EHLO x", "STARTTLS"), "smtp.refused", "STARTTLS"),
        ((base64("a secret in the wrong place"),), "smtp.refused", ""),
        (("NOOP \x07",), "smtp.refused", ""),
        (("EHLO x", f"AUTH PLAIN {WRONG}"), "smtp.auth_failed", None),
    ],
)
async def test_a_refused_command_leaves_one_line(
    harness: Harness, commands: tuple[str, ...], line: str, command: str | None
) -> None:
    client = await connected(harness)
    reply = await client.say(*commands)
    assert reply[0] in "45"
    ((name, fields),) = [one for one in harness.lines if one[0] in ("smtp.refused", "smtp.auth_failed")]
    assert name == line
    assert fields["client"] == "127.0.0.1"
    assert fields.get("command") == command
    assert "secret" not in str(fields)
    if line == "smtp.refused":
        assert fields["reply"] == reply


async def test_the_same_refusal_twice_leaves_two_lines(harness: Harness) -> None:
    client = await connected(harness)
    await client.say("DATA", "DATA")
    assert [fields["command"] for fields in harness.logged("smtp.refused")] == ["DATA", "DATA"]


@pytest.mark.parametrize("content", [b"", b"Subject: x\r\n\r\nhalf of"])
async def test_a_client_lost_within_a_transaction_leaves_a_line(harness: Harness, content: bytes) -> None:
    client = await connected(harness)
    await client.say("EHLO x", "MAIL FROM:<a@b.test>", "RCPT TO:<c@d.test>", "DATA")
    client.send(content)
    await client.close()
    await until(lambda: harness.logged("smtp.lost"))
    ((fields),) = harness.logged("smtp.lost")
    assert (fields["client"], fields["command"], fields["reverse_path"]) == ("127.0.0.1", "DATA", "a@b.test")
    assert not harness.handler.taken


async def test_a_client_that_leaves_between_transactions_leaves_none(harness: Harness) -> None:
    client = await connected(harness)
    await client.say("EHLO x", "MAIL FROM:<a@b.test>", "RSET")
    await client.close()
    await until(lambda: not harness.server.connections)
    assert not harness.logged("smtp.lost")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1 is deprecated")
@pytest.mark.parametrize("tls", ["starttls", "implicit"])
@pytest.mark.parametrize("fault", ["old protocol", "untrusted", "no TLS", "closed"])
async def test_a_failed_handshake_leaves_a_line_with_its_reason(tmp_path: Path, tls: str, fault: str) -> None:
    file = tmp_path / "relay.pem"
    trustme.CA().issue_cert("relay.test").private_key_and_cert_chain_pem.write_to_path(str(file))
    listener = {"tls": tls, "certificate": str(file)}
    async with serving(tmp_path, tls_context(file), listener=listener) as harness:
        await asyncio.to_thread(handshake, harness.server.port, fault, starttls=tls == "starttls")
        await until(lambda: harness.logged("smtp.tls_failed"))
        (fields,) = harness.logged("smtp.tls_failed")
        assert fields["client"] == "127.0.0.1"
        assert fault == "closed" or "SSL" in fields["error"]
        assert fields["error"]


def handshake(port: int, fault: str, *, starttls: bool) -> None:
    """Fail in a handshake, by a client of the standard library."""
    context = ssl.create_default_context()
    if fault == "old protocol":
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.maximum_version = context.minimum_version = ssl.TLSVersion.TLSv1
    with socket.create_connection(("127.0.0.1", port), 20) as client:
        if starttls:
            client.recv(999)
            client.sendall(b"EHLO x\r\n")
            client.recv(999)
            client.sendall(b"STARTTLS\r\n")
            client.recv(999)
        try:
            if fault == "closed":
                client.sendall(b"\x16\x03\x01")
            elif fault == "no TLS":
                client.sendall(b"EHLO this is no TLS at all\r\n" * 10)
                client.recv(999)
            else:
                context.wrap_socket(client, server_hostname="relay.test")
        except OSError:
            return
