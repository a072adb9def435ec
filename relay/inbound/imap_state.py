"""How far a mailbox was read: one small file that survives a crash."""

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from relay.config.settings import Imap

PLACE_FILE = "imap.json"
"""Its name in data_dir."""


MOST_MISSED = 1000


@dataclass(frozen=True, slots=True)
class MailboxPosition:
    """A folder and the last UID in it that needs no second look. UIDs mean something under one UIDVALIDITY only."""

    mailbox: str
    uidvalidity: int
    uid: int
    missed: tuple[int, ...] = ()
    """UIDs up to `uid` that could not be read, and are looked at again from time to time; the newest `MOST_MISSED`."""

    def without(self, uid: int) -> "MailboxPosition":
        """Return the place once a missed mail needs no further look."""
        return replace(self, missed=tuple(one for one in self.missed if one != uid))

    def past(self, uid: int, *, missed: bool = False) -> "MailboxPosition":
        """Return the place behind a mail."""
        return replace(self, uid=uid, missed=(*self.missed, uid)[-MOST_MISSED:] if missed else self.missed)


def mailbox_name(imap: Imap) -> str:
    """Return what tells one folder of one account from every other."""
    return f"{imap.username}@{imap.host}:{imap.port}/{imap.folder}"


def read_place(path: Path) -> MailboxPosition | None:
    """Return what was kept; None when nothing was, or when it makes no sense. Raises OSError."""
    try:
        kept = json.loads(path.read_bytes())
        missed = tuple(int(uid) for uid in kept.get("missed", ()))
        return MailboxPosition(str(kept["mailbox"]), int(kept["uidvalidity"]), int(kept["uid"]), missed)
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return None


def write_place(path: Path, place: MailboxPosition) -> None:
    """Keep it: on disk when this returns, and whole whatever happens. Raises OSError."""
    part = path.with_suffix(".part")
    with part.open("w", encoding="utf-8") as file:
        json.dump(asdict(place), file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
