"""IMAP client (RFC 3501): reads a mailbox without changing it, and marks handled mail.

All functions block, for at most ANSWER_SECONDS per response: call them in a thread.
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
"""Seconds that connecting, and each response, may take."""


LARGEST = 2 << 20
"""Octets fetched of each mail; the report of a bounce stands at its beginning."""


_WINDOW = 10_000
"""Mails per SEARCH: the response is one line, and the length of a line is limited."""


class MailboxError(Exception):
    """The mailbox cannot be read now; the text names the server and the step that failed."""


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
        with self._step("connect"):
            self._client = IMAPClient(
                imap.host,
                imap.port,
                ssl=imap.tls == "implicit",
                ssl_context=context if imap.tls == "implicit" else None,
                timeout=ANSWER_SECONDS,
            )

        if imap.tls == "starttls":
            with self._step("STARTTLS"):
                self._client.starttls(context)

        with self._step(f"login of {imap.username}"):
            self._client.login(imap.username, imap.password.get_secret_value())

    def close(self) -> None:
        """Log out if the server still responds, else close the connection."""
        if self._client is not None:
            try:
                with self._step("logout"):
                    self._client.logout()
            except MailboxError:
                self.abandon()

    def abandon(self) -> None:
        """Close the connection at once; a call that waits in another thread fails."""
        if self._client is not None:
            # The socket first: closing the library's file would wait for the thread that reads it.
            with suppress(OSError):
                self._client.socket().shutdown(SHUT_RDWR)
            with suppress(OSError):
                self._client.shutdown()

    def folders(self) -> Sequence[Folder]:
        """Return all folders, by name."""
        with self._step("list of folders"):
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
        with self._step(f'folder "{imap.folder}"'):
            state = self._client.select_folder(imap.folder, readonly=imap.handled == "leave")
            return int(state[b"UIDVALIDITY"]), int(state[b"EXISTS"])

    def uids_after(self, last: int, count: int) -> Sequence[int]:
        """Return the UIDs over `last` of a folder of `count` mails, ascending, without mail marked as deleted."""
        found: set[int] = set()
        with self._step("search"):
            for first in range(1, count + 1, _WINDOW):
                window = f"{first}:{min(first + _WINDOW - 1, count)}"
                found.update(self._client.search([window, "UID", f"{last + 1}:*", "UNDELETED"]))
        # "*" is the last mail, so the range always holds it, however low its UID is (RFC 3501 section 6.4.8).
        return sorted(uid for uid in found if uid > last)

    def fetch(self, uid: int) -> bytes | None:
        """Return the first LARGEST octets of a mail, leaving it unread; None when it is gone."""
        with self._step(f"fetch of UID {uid}"):
            parts = self._client.fetch([uid], [f"BODY.PEEK[]<0.{LARGEST}>"]).get(uid, {})
        return next((bytes(value) for key, value in parts.items() if key.startswith(b"BODY[]") and value), None)

    def prepare(self) -> None:
        """Make the folder handled mail is moved to, where it is missing."""
        if self._imap.handled != "move":
            return
        name = self._imap.handled_folder
        with self._step(f'folder "{name}"'):
            if not self._client.folder_exists(name):
                self._client.create_folder(name)
                self._client.subscribe_folder(name)

    def mark(self, uid: int) -> None:
        """Move a handled mail, mark it as read, or leave it, as configured."""
        with self._step(f"{self._imap.handled} of UID {uid}"):
            if self._imap.handled == "flag":
                self._client.add_flags([uid], [rb"\Seen"], silent=True)
            elif self._imap.handled == "move":
                self._move(uid)

    def _move(self, uid: int) -> None:
        """Move by RFC 6851, else by copy and deletion. Without UIDPLUS, an EXPUNGE would remove mail of others too."""
        folder = self._imap.handled_folder
        if self._client.has_capability("MOVE"):
            self._client.move([uid], folder)
            return
        self._client.copy([uid], folder)
        self._client.add_flags([uid], [rb"\Deleted"], silent=True)
        if self._client.has_capability("UIDPLUS"):
            self._client.uid_expunge([uid])

    @contextmanager
    def _step(self, step: str) -> Iterator[None]:
        """Turn the errors of the library into MailboxError."""
        try:
            yield
        except LoginError as error:
            raise MailboxError(f"{self._server}: {step} was refused: {_text(error)}") from error
        except (imaplib.IMAP4.error, OSError, ValueError, KeyError) as error:
            raise MailboxError(f"{self._server}: {step} failed: {_text(error)}") from error

    @property
    def _server(self) -> str:
        return f"{self._imap.host}:{self._imap.port}"


def _text(error: Exception) -> str:
    """Return an error as one line, without the quotes of bytes and without control characters."""
    text = str(error).removeprefix("b'").removesuffix("'")
    return "".join(char if char.isprintable() else " " for char in text)
