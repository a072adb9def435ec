"""Servers that are no IMAP server, or a slow one, are named as what they are."""

import ssl
from pathlib import Path
from socket import create_connection, socket
from threading import Event, Thread
from typing import Literal, Self

import pytest
import trustme
from pydantic import SecretStr

from relay.config.settings import Imap
from relay.inbound import imap_connection, imap_wrong_port
from relay.inbound.imap_errors import MailboxError
from relay.inbound.imap_mailbox import Mailbox
from tests.servers.raw_threads import Talk, served
from tests.servers.waiting import PATIENCE

Tls = Literal["none", "starttls", "implicit"]


@pytest.fixture(autouse=True)
def short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imap_connection, "SILENCE", 0.2)
    monkeypatch.setattr(imap_connection, "RESPONSE_SECONDS", 0.4)
    monkeypatch.setattr(imap_wrong_port, "PROBE_SECONDS", 0.2)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def greeting(text: bytes) -> Talk:
    """Return a server that greets, answers CAPABILITY with no extension, and waits for the client to leave."""

    def talk(connection: socket, _: Event) -> None:
        connection.sendall(text)
        while line := connection.recv(1000):
            tag = line.split(b" ")[0]
            connection.sendall(b"* CAPABILITY IMAP4rev1\r\n" + tag + b" OK done\r\n")

    return talk


def dripping(first: bytes) -> Talk:
    """Return a server that sends a line octet by octet without end."""

    def talk(connection: socket, ended: Event) -> None:
        connection.sendall(first)
        while not ended.wait(0.05):
            connection.sendall(b"x")

    return talk


def silent(connection: socket, ended: Event) -> None:
    del connection
    ended.wait()


def failure(port: int, tls: Tls) -> str:
    account = Imap(host="localhost", port=port, tls=tls, username="u", password=SecretStr("secret-word"))
    mailbox = Mailbox(account)
    with pytest.raises(MailboxError) as raised:
        mailbox.open()
    mailbox.abandon()
    assert str(raised.value).startswith(f"localhost:{port}: ")
    return str(raised.value)


IMAP = b"* OK ready\r\n"


@pytest.mark.parametrize(
    ("talk", "tls", "named"),
    [
        (greeting(IMAP), "implicit", 'speaks IMAP without TLS: set tls = "starttls", or the port for TLS, 993'),
        (greeting(b"220 mail ESMTP\r\n"), "implicit", "speaks SMTP or FTP, not IMAP"),
        (greeting(b"220 mail ESMTP\r\n"), "none", "speaks SMTP or FTP, not IMAP"),
        (greeting(b"+OK POP3 ready\r\n"), "starttls", "speaks POP3, not IMAP"),
        (greeting(b"SSH-2.0-x\r\n"), "implicit", "speaks SSH, not IMAP"),
        (greeting(IMAP), "starttls", "STARTTLS is not offered"),
        (silent, "none", "greeting failed: timed out"),
        (dripping(b"* OK "), "none", "greeting failed: the response is not complete after 0.4 seconds"),
    ],
)
def test_a_server_without_tls(talk: Talk, tls: Tls, named: str) -> None:
    with served(talk) as port:
        assert named in failure(port, tls)


@pytest.mark.parametrize(
    ("talk", "tls", "named"),
    [
        (greeting(IMAP), "none", 'expects TLS at once: set tls = "implicit"'),
        (greeting(IMAP), "starttls", 'expects TLS at once: set tls = "implicit"'),
        (greeting(b"220 mail ESMTP\r\n"), "implicit", "speaks SMTP or FTP over TLS, not IMAP"),
        (dripping(b"* OK "), "implicit", "the server sends too slowly"),
    ],
)
def test_a_server_with_tls(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, authority: trustme.CA, talk: Talk, tls: Tls, named: str
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    with served(talk, context) as port:
        assert named in failure(port, tls)


def test_a_certificate_that_is_not_trusted_is_no_wrong_port(authority: trustme.CA) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with served(greeting(IMAP), context) as port:
        error = failure(port, "implicit")
    assert "TLS failed: [SSL: CERTIFICATE_VERIFY_FAILED]" in error
    assert "; port" not in error


def test_a_connection_that_is_abandoned_ends_at_once_and_nothing_is_probed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imap_connection, "SILENCE", 30.0)
    monkeypatch.setattr(imap_connection, "RESPONSE_SECONDS", 30.0)
    asked = Event()

    def talk(connection: socket, ended: Event) -> None:
        asked.set()
        dripping(b"* OK ")(connection, ended)

    with served(talk) as port:
        mailbox = Mailbox(Imap(host="localhost", port=port, tls="none", username="u", password=SecretStr("x")))
        failures: list[str] = []

        def open_mailbox() -> None:
            try:
                mailbox.open()
            except MailboxError as error:
                failures.append(str(error))

        opening = Thread(target=open_mailbox)
        opening.start()
        assert asked.wait(PATIENCE)
        asked.clear()
        mailbox.abandon()
        opening.join(PATIENCE)
    assert len(failures) == 1
    assert not asked.is_set()


def test_a_connection_that_is_abandoned_while_it_is_opened_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imap_connection, "SILENCE", 30.0)
    with served(silent) as port:
        mailbox = Mailbox(Imap(host="localhost", port=port, tls="none", username="u", password=SecretStr("x")))

        def abandoned(address: tuple[str, int], timeout: float) -> socket:
            opened = create_connection(address, timeout)
            mailbox.abandon()
            return opened

        monkeypatch.setattr(imap_connection, "create_connection", abandoned)
        with pytest.raises(MailboxError, match="connect failed: the connection was abandoned"):
            mailbox.open()


def test_a_connection_that_is_abandoned_while_it_is_duplicated_fails_as_any_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with served(silent) as port:
        mailbox = Mailbox(Imap(host="localhost", port=port, tls="none", username="u", password=SecretStr("x")))

        class Abandoned(socket):
            def dup(self) -> Self:
                mailbox.abandon()
                return super().dup()

        def opened(address: tuple[str, int], timeout: float) -> socket:
            return Abandoned(fileno=create_connection(address, timeout).detach())

        monkeypatch.setattr(imap_connection, "create_connection", opened)
        with pytest.raises(MailboxError, match=r"connect failed: .*Bad file descriptor"):
            mailbox.open()
