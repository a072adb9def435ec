"""The one door to IMAP (RFC 3501): a mailbox whose mail is read without touching it, and marked when it was handled.

Everything here blocks, each answer for ANSWER_SECONDS at most: call it in a thread.
"""

import imaplib
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from socket import SHUT_RDWR
from typing import Any

from imapclient import IMAPClient
from imapclient.exceptions import LoginError

from relay.config.settings import Imap

ANSWER_SECONDS = 15.0
"""How long connecting, and each answer, may take."""


LARGEST = 2 << 20
"""Octets that are fetched of a mail: a bounce says at its beginning what it has to say."""


_WINDOW = 10_000
"""Mails whose UIDs are asked for at once: an answer is one line, and a line has a limit."""


class MailboxError(Exception):
    """The mailbox cannot be read now; the text says what failed, and of which server."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of the server. `messages` is None for one that holds only other folders."""

    name: str
    messages: int | None


class Mailbox:
    """A connection to the mailbox of the configuration. Every method raises MailboxError."""

    def __init__(self, imap: Imap) -> None:
        self._imap = imap
        self._client: Any = None

    def open(self) -> None:
        """Connect, with a certificate the system trusts unless `tls` is "none", and log in."""
        imap = self._imap
        context = ssl.create_default_context()
        with self._told("connect"):
            self._client = IMAPClient(
                imap.host,
                imap.port,
                ssl=imap.tls == "implicit",
                ssl_context=context if imap.tls == "implicit" else None,
                timeout=ANSWER_SECONDS,
            )
        if imap.tls == "starttls":
            with self._told("STARTTLS"):
                self._client.starttls(context)
        with self._told(f"login of {imap.username}"):
            self._client.login(imap.username, imap.password.get_secret_value())

    def close(self) -> None:
        """Say goodbye, as far as the server still listens."""
        if self._client is not None:
            try:
                with self._told("logout"):
                    self._client.logout()
            except MailboxError:
                self.abandon()

    def abandon(self) -> None:
        """Close the connection at once; what waits for an answer in another thread fails."""
        if self._client is not None:
            # The socket first: closing the library's file would wait for the thread that reads from it.
            with suppress(OSError):
                self._client.socket().shutdown(SHUT_RDWR)
            with suppress(OSError):
                self._client.shutdown()

    def folders(self) -> Sequence[Folder]:
        """Return all folders, by name."""
        with self._told("list of folders"):
            found = [
                Folder(name, None if b"\\noselect" in {flag.lower() for flag in flags} else self._messages(name))
                for flags, _, name in self._client.list_folders()
            ]
        return sorted(found, key=lambda folder: folder.name)

    def _messages(self, name: str) -> int:
        return int(self._client.folder_status(name, ["MESSAGES"])[b"MESSAGES"])

    def select(self) -> tuple[int, int]:
        """Open the folder, for reading only when handled mail is left as it is; return UIDVALIDITY and mail count."""
        imap = self._imap
        with self._told(f'folder "{imap.folder}"'):
            state = self._client.select_folder(imap.folder, readonly=imap.handled == "leave")
            return int(state[b"UIDVALIDITY"]), int(state[b"EXISTS"])

    def uids_after(self, last: int, count: int) -> Sequence[int]:
        """Return the UIDs over `last` of a folder of `count` mails, ascending, without mail marked as deleted."""
        found: set[int] = set()
        with self._told("search"):
            for first in range(1, count + 1, _WINDOW):
                window = f"{first}:{min(first + _WINDOW - 1, count)}"
                found.update(self._client.search([window, "UID", f"{last + 1}:*", "UNDELETED"]))
        # "*" is the last mail, so the range always holds it, however low its UID is (RFC 3501 section 6.4.8).
        return sorted(uid for uid in found if uid > last)

    def fetch(self, uid: int) -> bytes | None:
        """Return the first LARGEST octets of a mail, leaving it unread; None when it is gone."""
        with self._told(f"fetch of UID {uid}"):
            parts = self._client.fetch([uid], [f"BODY.PEEK[]<0.{LARGEST}>"]).get(uid, {})
        return next((bytes(value) for key, value in parts.items() if key.startswith(b"BODY[]") and value), None)

    def prepare(self) -> None:
        """Make the folder handled mail is moved to, where it is missing."""
        if self._imap.handled != "move":
            return
        name = self._imap.handled_folder
        with self._told(f'folder "{name}"'):
            if not self._client.folder_exists(name):
                self._client.create_folder(name)
                self._client.subscribe_folder(name)

    def mark(self, uid: int) -> None:
        """Do with a handled mail what the configuration says: move it, mark it as read, or nothing."""
        with self._told(f"{self._imap.handled} of UID {uid}"):
            if self._imap.handled == "flag":
                self._client.add_flags([uid], [rb"\Seen"], silent=True)
            elif self._imap.handled == "move":
                self._move(uid)

    def _move(self, uid: int) -> None:
        """Move by RFC 6851, else by copy and deletion; without UIDPLUS an EXPUNGE would hit other people's mail."""
        folder = self._imap.handled_folder
        if self._client.has_capability("MOVE"):
            self._client.move([uid], folder)
            return
        self._client.copy([uid], folder)
        self._client.add_flags([uid], [rb"\Deleted"], silent=True)
        if self._client.has_capability("UIDPLUS"):
            self._client.uid_expunge([uid])

    @contextmanager
    def _told(self, step: str) -> Iterator[None]:
        """Turn whatever a server's answer, or its absence, makes the library raise into MailboxError."""
        try:
            yield
        except LoginError as error:
            raise MailboxError(f"{self._place}: {step} was refused: {_text(error)}") from error
        except (imaplib.IMAP4.error, OSError, ValueError, KeyError) as error:
            raise MailboxError(f"{self._place}: {step} failed: {_text(error)}") from error

    @property
    def _place(self) -> str:
        return f"{self._imap.host}:{self._imap.port}"


def _text(error: Exception) -> str:
    """Return what an error says on one line, without the quotes of octets and without what could forge a line."""
    text = str(error).removeprefix("b'").removesuffix("'")
    return "".join(char if char.isprintable() else " " for char in text)
