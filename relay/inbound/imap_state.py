"""Position reached in the bounce mailbox: one small file that survives a crash."""

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from relay.config.settings import Imap

STATE_FILE = "imap.json"
"""File name in data_dir."""


MAX_MISSED = 1000
"""Maximum number of skipped mails that are retried."""


@dataclass(frozen=True, slots=True)
class MailboxPosition:
    """A folder and the last UID processed in it. UIDs are valid under one UIDVALIDITY only."""

    mailbox: str
    uidvalidity: int
    uid: int
    missed: tuple[int, ...] = ()
    """UIDs up to `uid` that were skipped and are retried; the newest `MAX_MISSED`."""

    def without(self, uid: int) -> "MailboxPosition":
        """Return the position without a skipped mail that was processed."""
        return replace(self, missed=tuple(one for one in self.missed if one != uid))

    def past(self, uid: int, *, missed: bool = False) -> "MailboxPosition":
        """Return the position behind a mail."""
        return replace(self, uid=uid, missed=(*self.missed, uid)[-MAX_MISSED:] if missed else self.missed)


def mailbox_name(imap: Imap) -> str:
    """Identify one folder of one account."""
    return f"{imap.username}@{imap.host}:{imap.port}/{imap.folder}"


def read_position(path: Path) -> MailboxPosition | None:
    """Return the saved position; None when the file is missing or malformed. Raises OSError."""
    try:
        saved = json.loads(path.read_bytes())
        missed = tuple(int(uid) for uid in saved.get("missed", ()))
        return MailboxPosition(str(saved["mailbox"]), int(saved["uidvalidity"]), int(saved["uid"]), missed)
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return None


def write_position(path: Path, position: MailboxPosition) -> None:
    """Replace the file atomically; it is on disk when this returns. Raises OSError."""
    part = path.with_suffix(".part")
    with part.open("w", encoding="utf-8") as file:
        json.dump(asdict(position), file)
        file.flush()
        os.fsync(file.fileno())

    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
