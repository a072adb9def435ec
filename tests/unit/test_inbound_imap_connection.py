"""Servers that are no IMAP server, or a slow one, are named as what they are."""

import ssl
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import create_connection, create_server, socket
from threading import Event, Thread
from typing import Literal, Self

import pytest
import trustme
from pydantic import SecretStr

from relay.config.settings import Imap
from relay.inbound import imap_connection, imap_wrong_port
from relay.inbound.imap_errors import MailboxError
from relay.inbound.imap_mailbox import FolderState, Mailbox, with_prefix
from tests.servers.waiting import PATIENCE

Tls = Literal["none", "starttls", "implicit"]

Talk = Callable[[socket, Event], None]


@pytest.fixture(autouse=True)
def short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imap_connection, "SILENCE", 0.2)
    monkeypatch.setattr(imap_connection, "RESPONSE_SECONDS", 0.4)
    monkeypatch.setattr(imap_wrong_port, "PROBE_SECONDS", 0.2)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@contextmanager
def served(talk: Talk, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serve on a free port: each connection is given to `talk`, over TLS where there is a context."""
    ended = Event()

    def serve(connection: socket) -> None:
        with suppress(OSError), connection:
            if context is None:
                talk(connection, ended)
                return
            with context.wrap_socket(connection, server_side=True) as secured:
                talk(secured, ended)

    def accept() -> None:
        with suppress(OSError):
            while True:
                Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()

    with create_server(("127.0.0.1", 0)) as listening:
        Thread(target=accept, daemon=True).start()
        yield int(listening.getsockname()[1])
        ended.set()


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


@pytest.mark.parametrize(
    ("name", "prefix", "expected"),
    [
        ("Handled", "INBOX.", "INBOX.Handled"),
        ("inbox.Handled", "INBOX.", "inbox.Handled"),
        ("INBOX", "INBOX.", "INBOX"),
        ("Handled", "", "Handled"),
    ],
)
def test_names_stand_behind_the_prefix_of_the_account(name: str, prefix: str, expected: str) -> None:
    assert with_prefix(name, prefix) == expected


class Account:
    """A server that keeps the commands of its clients, and has the given answers by command."""

    def __init__(self, capabilities: str, **answers: str) -> None:
        self.commands: list[str] = []
        self._capabilities = capabilities
        self._answers = {"LIST": '* LIST () "/" "Bounces"\r\nOK', "SELECT": SELECTED, "EXAMINE": SELECTED, **answers}

    def talk(self, connection: socket, ended: Event) -> None:
        del ended
        connection.sendall(IMAP)
        with connection.makefile("rwb") as stream:
            for line in stream:
                tag, _, command = line.decode().strip().partition(" ")
                self.commands.append(command)
                verb = command.split(" ")[0].upper()
                if verb == "CAPABILITY":
                    stream.write(f"* CAPABILITY IMAP4rev1 {self._capabilities}\r\n".encode())
                if verb == "AUTHENTICATE":
                    stream.write(b"+ \r\n")
                    stream.flush()
                    self.commands.append(stream.readline().decode().strip())
                answer = self._answers.get(command, self._answers.get(verb, "OK"))
                *untagged, status = answer.split("\r\n")
                stream.write("".join(f"{one}\r\n" for one in untagged).encode())
                stream.write(f"{tag} {status} done\r\n".encode())
                stream.flush()


SELECTED = "* 0 EXISTS\r\n* OK [UIDVALIDITY 7] valid\r\n* OK [UIDNEXT 5] next\r\nOK"


def opened(port: int, password: str = "secret-word", **imap: str) -> Mailbox:
    account = {"host": "localhost", "port": port, "tls": "none", "username": "u", "password": password, **imap}
    mailbox = Mailbox(Imap.model_validate(account))
    try:
        mailbox.open()
    except MailboxError:
        mailbox.abandon()
        raise
    return mailbox


@pytest.mark.parametrize(
    ("capabilities", "password", "login"),
    [
        ("", "secret", 'LOGIN u "secret"'),
        ("AUTH=PLAIN", "secret", 'LOGIN u "secret"'),
        ("AUTH=PLAIN LOGINDISABLED", "secret", b64encode(b"\0u\0secret").decode()),
        ("AUTH=PLAIN", "geheim-ü", b64encode("\0u\0geheim-ü".encode()).decode()),
    ],
)
def test_the_login_takes_the_way_that_the_server_allows(capabilities: str, password: str, login: str) -> None:
    account = Account(capabilities)
    with served(account.talk) as port:
        opened(port, password).abandon()
    assert login in account.commands


@pytest.mark.parametrize(
    ("capabilities", "password", "named"),
    [("LOGINDISABLED", "secret", "LOGIN is disabled"), ("", "geheim-ü", "the user name or password is not ASCII")],
)
def test_a_login_that_is_not_possible_names_the_reason_and_no_secret(
    capabilities: str, password: str, named: str
) -> None:
    with served(Account(capabilities).talk) as port, pytest.raises(MailboxError) as raised:
        opened(port, password)
    assert named in str(raised.value)
    assert password not in str(raised.value)


def test_a_folder_that_the_server_refuses_to_select_is_examined() -> None:
    account = Account("", SELECT="NO [NOPERM]")
    with served(account.talk) as port:
        mailbox = opened(port, folder="Bounces")
        assert mailbox.select() == FolderState(7, 0, 5)
        assert mailbox.read_only
        mailbox.abandon()


def test_a_folder_without_uids_is_named_as_that() -> None:
    with served(Account("", SELECT="* 0 EXISTS\r\nOK").talk) as port:
        mailbox = opened(port, folder="Bounces")
        with pytest.raises(MailboxError, match="keeps no UIDs"):
            mailbox.select()
        mailbox.abandon()


def test_handled_mail_is_never_moved_into_the_polled_folder() -> None:
    space = '* NAMESPACE (("INBOX." ".")) NIL NIL\r\nOK'
    listed = {'LIST "" "INBOX.Bounces"': '* LIST () "." "INBOX.Bounces"\r\nOK', "LIST": "OK"}
    account = Account("NAMESPACE", NAMESPACE=space, **listed)
    with served(account.talk) as port:
        mailbox = opened(port, folder="INBOX.Bounces", handled_folder="Bounces")
        mailbox.select()
        with pytest.raises(MailboxError, match="it is the polled folder"):
            mailbox.prepare()
        mailbox.abandon()
