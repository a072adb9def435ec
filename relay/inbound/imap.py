"""Reads the bounce mailbox: each mail is taken once, what it told is durable before it is marked, the rest stays as is.

The order makes a crash harmless: take, mark, remember. A mail met again after a crash is recorded once all the same,
because `Intake` knows what the story has already.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from relay.config.settings import Imap, Settings
from relay.events.ports import StoreError
from relay.inbound.imap_mailbox import Mailbox, MailboxError
from relay.inbound.imap_place import Place, mailbox_name, read_place, write_place
from relay.inbound.intake import Taken
from relay.log import Emit

IDLE = 60.0
"""Seconds until the settings are looked at again when they name no mailbox: a reload may bring one."""


class Poller:
    """Polls the mailbox of the settings in force. `place` is the file that keeps how far it was read."""

    def __init__(
        self, settings: Callable[[], Settings], place: Path, take: Callable[[bytes], Awaitable[Taken]], log: Emit
    ) -> None:
        self._settings = settings
        self._place = place
        self._take = take
        self._log = log
        self._answers = ""
        """The mailbox whose last round went well."""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to poll, at once and then every `interval`."""
        self._task = asyncio.create_task(self._run(), name="imap")
        self._task.add_done_callback(self._ended)

    async def stop(self) -> None:
        """End at once: a mail in hand is met again at the next start."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            imap = self._settings().bounces.imap
            if imap is not None:
                await self._try(imap)
            await asyncio.sleep(imap.interval if imap else IDLE)

    async def _try(self, imap: Imap) -> None:
        try:
            await self.read(imap)
        except (MailboxError, StoreError, OSError) as error:
            self._answers = ""
            self._log("imap.failed", error=str(error))

    async def read(self, imap: Imap) -> None:
        """Take all that is new in the mailbox. Raises MailboxError, StoreError or OSError; the rest waits then."""
        mailbox = Mailbox(imap)
        try:
            await asyncio.to_thread(mailbox.open)
            uidvalidity, count = await asyncio.to_thread(mailbox.select)
            if self._answers != mailbox_name(imap):
                self._answers = mailbox_name(imap)
                self._log("imap.connected", host=imap.host, folder=imap.folder, messages=count)
            place = await asyncio.to_thread(self._place_in, imap, uidvalidity)
            uids = await asyncio.to_thread(mailbox.uids_after, place.uid, count)
            if uids:
                await asyncio.to_thread(mailbox.prepare)
            for uid in uids:
                await self._take_one(mailbox, imap, uid)
                await asyncio.to_thread(write_place, self._place, replace(place, uid=uid))
            await asyncio.to_thread(mailbox.close)
        finally:
            mailbox.abandon()

    def _place_in(self, imap: Imap, uidvalidity: int) -> Place:
        """Return how far the folder was read: not at all when its UIDs do not mean any more what they meant."""
        kept = read_place(self._place)
        if kept is not None and kept.mailbox == mailbox_name(imap):
            if kept.uidvalidity == uidvalidity:
                return kept
            self._log("imap.renumbered", folder=imap.folder, before=kept.uidvalidity, now=uidvalidity)
        return Place(mailbox_name(imap), uidvalidity, 0)

    async def _take_one(self, mailbox: Mailbox, imap: Imap, uid: int) -> None:
        content = await asyncio.to_thread(mailbox.fetch, uid)
        if content is None:
            return
        taken = await self._take(content)
        handled = taken.joined and taken.kind != "other"
        if handled:
            await asyncio.to_thread(mailbox.mark, uid)
        done = imap.handled if handled else "leave"
        self._log("imap.taken", uid=uid, kind=taken.kind, handled=done, events=len(taken.events))

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log("imap.failed", error=repr(error))
