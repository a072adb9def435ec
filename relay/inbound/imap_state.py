"""Position reached in the bounce mailbox: one small file that survives a crash."""

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from relay.config.settings import Imap

STATE_FILE = "imap.json"
"""File name in data_dir."""

MAX_MISSED = 1000
"""Maximum number of skipped mails that are retried, and of mails whose mark is tried again."""


@dataclass(frozen=True, slots=True)
class MailboxPosition:
    """A folder and the last UID processed in it. UIDs are valid under one UIDVALIDITY only."""

    mailbox: str
    uidvalidity: int
    uid: int
    missed: tuple[int, ...] = ()
    """UIDs up to `uid` that were skipped and are retried; the newest `MAX_MISSED`."""
    unmarked: tuple[int, ...] = ()
    """UIDs of processed mail that is not marked yet; the newest `MAX_MISSED`."""

    def taken(self, uid: int, *, mark: bool) -> "MailboxPosition":
        """Return the position after a mail was processed, which may have been skipped before, and has to be marked."""
        return replace(
            self,
            uid=max(self.uid, uid),
            missed=_without(self.missed, uid),
            unmarked=(*self.unmarked, uid)[-MAX_MISSED:] if mark else self.unmarked,
        )

    def skipped(self, uid: int) -> "MailboxPosition":
        """Return the position behind a mail that was skipped."""
        return replace(self, uid=uid, missed=(*self.missed, uid)[-MAX_MISSED:])

    def marked(self, uid: int) -> "MailboxPosition":
        """Return the position after a mail was marked."""
        return replace(self, unmarked=_without(self.unmarked, uid))


def _without(uids: tuple[int, ...], uid: int) -> tuple[int, ...]:
    return tuple(one for one in uids if one != uid) if uid in uids else uids


def mailbox_name(imap: Imap) -> str:
    """Identify one folder of one account."""
    return f"{imap.username}@{imap.host}:{imap.port}/{imap.folder}"


def read_position(path: Path) -> MailboxPosition | None:
    """Return the saved position; None when the file is missing or malformed. Raises OSError."""
    try:
        saved = json.loads(path.read_bytes())
        missed, unmarked = (tuple(int(uid) for uid in saved.get(name, ())) for name in ("missed", "unmarked"))
        return MailboxPosition(str(saved["mailbox"]), int(saved["uidvalidity"]), int(saved["uid"]), missed, unmarked)
    except (FileNotFoundError, ValueError, OverflowError, RecursionError, KeyError, TypeError, AttributeError):
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
