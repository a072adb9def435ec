"""The bounce mailbox (RFC 3501): read without changing it, with marks for handled mail.

All functions block, for a limited time per response: call them in a thread.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from relay.config.settings import Imap
from relay.inbound.imap_errors import MailboxError

MAX_FETCHED = 2 << 20
"""Octets fetched of each mail; the report of a bounce stands at its beginning."""

_WINDOW = 10_000
"""Mails per SEARCH: the response is one line, and the length of a line is limited."""

_UIDS = 100
"""UIDs in a command: a line of a command is limited too."""


class HalfMovedError(MailboxError):
    """A mail was copied to the folder of handled mail, but cannot be deleted. Trying again would copy it again."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of the server. `messages` is None for one that holds only other folders."""

    name: str
    messages: int | None


@dataclass(frozen=True, slots=True)
class FolderState:
    """The state of an opened folder."""

    uidvalidity: int
    messages: int
    uidnext: int | None
    """The UID of the next mail, at least; None if the server does not give it."""


class Mailbox:
    """The mailbox of the configuration. Every method raises MailboxError."""

    def __init__(self, imap: Imap) -> None:
        from relay.inbound.imap_connection import ImapConnection  # Not at the top: it loads a client that few need.

        self._imap = imap
        self._connection = ImapConnection(imap)
        self._folder = imap.folder
        self._handled_folder = imap.handled_folder
        self.read_only = False
        """Whether the server allows no marks in the selected folder."""

    @property
    def _client(self) -> Any:
        return self._connection.client

    def open(self, token: str = "") -> None:
        """Connect and log in, with an access token if there is one. Raises LoginRefusedError if that is refused."""
        self._connection.open()
        with self._connection.step(f"login of {self._imap.username}"):
            if token:
                self._connection.send_token(token)
            else:
                self._log_in(self._imap.username, self._imap.password.get_secret_value())

    def _log_in(self, username: str, password: str) -> None:
        """Log in by LOGIN, which takes ASCII only and may be disabled, else by the mechanism PLAIN (RFC 4616)."""
        is_ascii = username.isascii() and password.isascii()
        if is_ascii and not self._client.has_capability("LOGINDISABLED"):
            self._client.login(username, password)
        elif self._client.has_capability("AUTH=PLAIN"):
            self._client.sasl_login("PLAIN", lambda _: f"\0{username}\0{password}".encode())
        else:
            why = "LOGIN is disabled" if is_ascii else "the user name or password is not ASCII"
            raise ValueError(f"{why}, and the server does not offer AUTH=PLAIN")

    def close(self) -> None:
        """Log out if the server still responds, and close the connection."""
        if self._client is not None:
            with suppress(MailboxError), self._connection.step("logout"):
                self._client.logout()
        self.abandon()

    def abandon(self) -> None:
        """Close the connection at once; a call that waits in another thread fails."""
        self._connection.abandon()

    def folders(self) -> Sequence[Folder]:
        """Return all folders, by name."""
        with self._connection.step("list of folders"):
            listed = self._client.list_folders()
        found = [
            Folder(name, None if b"\\noselect" in {flag.lower() for flag in flags} else self._messages(name))
            for flags, _, name in listed
        ]
        return sorted(found, key=lambda folder: folder.name)

    def _messages(self, name: str) -> int:
        with self._connection.step(f'status of folder "{name}"'):
            return int(self._client.folder_status(name, ["MESSAGES"])[b"MESSAGES"])

    def prefix(self) -> str:
        """Return the prefix of the account's folders, "" if there is none or the server does not name it (RFC 2342)."""
        with suppress(MailboxError), self._connection.step("namespaces"):
            spaces = self._client.namespace().personal if self._client.has_capability("NAMESPACE") else None
            return str(spaces[0][0]) if spaces else ""
        return ""

    def select(self) -> FolderState:
        """Open the folder.

        It is opened for reading only if handled mail is left as it is, or if the server allows no more.
        """
        self._folder = name = self._existing(self._imap.folder) or self._imap.folder
        with self._connection.step(f'folder "{name}"'):
            state = self._selected(name)
            if b"UIDVALIDITY" not in state:
                raise ValueError("the server keeps no UIDs (RFC 3501 section 2.3.1.1)")
            following = state.get(b"UIDNEXT")
            return FolderState(int(state[b"UIDVALIDITY"]), int(state[b"EXISTS"]), int(following) if following else None)

    def _selected(self, name: str) -> Any:
        self.read_only = self._imap.handled == "leave"
        if not self.read_only:
            try:
                return self._client.select_folder(name)
            except self._connection.refused:
                self.read_only = True
        return self._client.select_folder(name, readonly=True)

    def _existing(self, name: str) -> str:
        """Return the name of an existing folder, with the account's prefix where it needs that; "" if there is none."""
        if name.upper() == "INBOX":
            return name
        with self._connection.step(f'folder "{name}"'):
            if self._client.folder_exists(name):
                return name
        other = with_prefix(name, self.prefix())
        with self._connection.step(f'folder "{other}"'):
            return other if other != name and self._client.folder_exists(other) else ""

    def uids_after(self, last: int, count: int) -> Sequence[int]:
        """Return the UIDs over `last` of a folder of `count` mails, ascending, without mail marked as deleted."""
        found: set[int] = set()
        for first in range(1, count + 1, _WINDOW):
            window = f"{first}:{min(first + _WINDOW - 1, count)}"
            with self._connection.step("search"):
                found.update(self._client.search([window, "UID", f"{last + 1}:*", "UNDELETED"]))
        # "*" is the last mail, so the range always holds it, however low its UID is (RFC 3501 section 6.4.8).
        return sorted(uid for uid in found if uid > last)

    def existing(self, uids: Sequence[int]) -> frozenset[int]:
        """Return those of the UIDs that the folder still has."""
        found: set[int] = set()
        for first in range(0, len(uids), _UIDS):
            some = ",".join(map(str, uids[first : first + _UIDS]))
            with self._connection.step("search"):
                found.update(self._client.search(["UID", some]))
        return frozenset(found)

    def fetch(self, uid: int) -> bytes | None:
        """Return the first MAX_FETCHED octets of a mail, leaving it unread; None when it is gone."""
        with self._connection.step(f"fetch of UID {uid}"):
            parts = self._client.fetch([uid], [f"BODY.PEEK[]<0.{MAX_FETCHED}>"]).get(uid, {})
        return next((bytes(value) for key, value in parts.items() if key.startswith(b"BODY[]") and value), None)

    def prepare(self) -> None:
        """Make the folder handled mail is moved to, where it is missing: behind the account's prefix."""
        if self._imap.handled != "move":
            return
        name = self._imap.handled_folder
        if (existing := self._existing(name)) and existing != self._folder:
            self._handled_folder = existing
            return
        self._handled_folder = with_prefix(name, self.prefix())
        with self._connection.step(f'folder "{self._handled_folder}"'):
            if self._handled_folder == self._folder:
                raise ValueError("it is the polled folder")
            self._client.create_folder(self._handled_folder)
        with suppress(MailboxError), self._connection.step(f'subscription of "{self._handled_folder}"'):
            self._client.subscribe_folder(self._handled_folder)

    def mark(self, uid: int) -> None:
        """Move a handled mail or mark it as read, as configured. Raises HalfMovedError after a copy."""
        with self._connection.step(f"{self._imap.handled} of UID {uid}"):
            if self._imap.handled == "flag":
                self._client.add_flags([uid], [rb"\Seen"], silent=True)
                return
            # RFC 6851, else copy and deletion. Without UIDPLUS, an EXPUNGE would remove mail of others too.
            if self._client.has_capability("MOVE"):
                self._client.move([uid], self._handled_folder)
                return
            self._client.copy([uid], self._handled_folder)

        try:
            with self._connection.step(f"deletion of UID {uid} after it was copied"):
                self._client.add_flags([uid], [rb"\Deleted"], silent=True)
                if self._client.has_capability("UIDPLUS"):
                    self._client.uid_expunge([uid])
        except MailboxError as error:
            raise HalfMovedError(str(error)) from error


def with_prefix(name: str, prefix: str) -> str:
    """Return the name of a folder behind the prefix of the account, unless it has it; "INBOX" ignores case."""
    return name if name.upper() == "INBOX" or name.upper().startswith(prefix.upper()) else prefix + name
