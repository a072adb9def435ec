"""The way to a mailbox: its login, its names, its folders."""

from base64 import b64encode
from socket import socket
from threading import Event

import pytest

from relay.config.settings import Imap
from relay.inbound.imap_errors import MailboxError
from relay.inbound.imap_mailbox import FolderState, Mailbox, with_prefix
from tests.servers.raw_threads import served


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
        connection.sendall(b"* OK ready\r\n")
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
