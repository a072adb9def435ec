"""Marks of processed mail in the bounce mailbox: best effort, so that no mail waits for one."""

import asyncio

from relay.config.settings import Imap
from relay.inbound.imap_errors import MailboxError
from relay.inbound.imap_mailbox import HalfMovedError, Mailbox
from relay.log import Emit


class Marks:
    """Marks mail over several rounds. A failure ends the marks of its round, and is logged once until one succeeds."""

    def __init__(self, log: Emit) -> None:
        self._log = log
        self._reported = ""
        """The folder whose failure was logged."""
        self._prepared = False
        self._failed = False

    def begin_round(self) -> None:
        """Try again, over a new connection."""
        self._prepared = self._failed = False

    async def mark(self, mailbox: Mailbox, imap: Imap, uid: int) -> bool:
        """Mark a mail. Return whether nothing more is to be done: False where it has to be tried again."""
        if self._failed:
            return False
        try:
            await asyncio.to_thread(self._mark, mailbox, uid)
        except HalfMovedError as error:
            self._report(imap, str(error))
            return True
        except MailboxError as error:
            self._report(imap, str(error))
            return False
        self._reported = ""
        return True

    def _mark(self, mailbox: Mailbox, uid: int) -> None:
        """Mark a mail; at the first of a round prepare the folder of handled mail. Blocking."""
        if mailbox.read_only:
            raise MailboxError("the server allows no changes in the folder")
        if not self._prepared:
            mailbox.prepare()
            self._prepared = True
        mailbox.mark(uid)

    def _report(self, imap: Imap, error: str) -> None:
        self._failed = True
        if self._reported != imap.folder:
            self._reported = imap.folder
            self._log("imap.unmarked", folder=imap.folder, error=error)
