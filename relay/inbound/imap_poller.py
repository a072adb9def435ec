"""Reads the bounce mailbox: each mail is taken once, what it told is durable before it is marked, the rest stays as is.

The order makes a crash harmless: take, mark, remember. A mail met again after a crash is recorded once all the same,
because the store knows what the story has already. A mail that cannot be read does not hold up those behind it: after
`TRIES` it is stepped over, and looked at again from time to time.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from relay.config.settings import Imap, Settings
from relay.events.ports import StoreError
from relay.inbound.imap_mailbox import Mailbox, MailboxError
from relay.inbound.imap_state import MailboxPosition, mailbox_name, read_place, write_place
from relay.inbound.process import ProcessResult
from relay.log import Emit

IDLE = 60.0
"""Seconds until the settings are looked at again when they name no mailbox: a reload may bring one."""


TRIES = 3
"""How often in a row a mail may fail before it is stepped over."""


MISSED_AGAIN = 3600.0
"""Seconds between two looks at the mails that were stepped over."""


class Poller:
    """Polls the mailbox of the settings in force. `place` is the file that keeps how far it was read."""

    def __init__(
        self,
        settings: Callable[[], Settings],
        place: Path,
        take: Callable[[bytes], Awaitable[ProcessResult]],
        log: Emit,
    ) -> None:
        self._settings = settings
        self._place = place
        self._take = take
        self._log = log
        self._answers = ""
        """The mailbox whose last round went well."""
        self._tries: dict[int, int] = {}
        """How often mails were begun, by UID, that were not finished. Lives as long as the process."""
        self._missed_at = 0.0
        """When the missed mails are due, by the loop's clock."""

    async def run(self) -> None:
        """Poll, at once and then every `interval`, until cancelled: a mail in hand is met again at the next start."""
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
            missed = self._due(place)
            if uids or missed:
                await asyncio.to_thread(mailbox.prepare)
            for uid in uids:
                place = await self._next(mailbox, imap, uid, place)
            for uid in missed:
                await self._take_one(mailbox, imap, uid)
                place = await self._keep(place.without(uid))
            await asyncio.to_thread(mailbox.close)
        finally:
            mailbox.abandon()

    def _place_in(self, imap: Imap, uidvalidity: int) -> MailboxPosition:
        """Return how far the folder was read: not at all when its UIDs do not mean any more what they meant."""
        kept = read_place(self._place)
        if kept is not None:
            if kept.mailbox == mailbox_name(imap) and kept.uidvalidity == uidvalidity:
                return kept
            if kept.mailbox == mailbox_name(imap):
                self._log("imap.renumbered", folder=imap.folder, before=kept.uidvalidity, now=uidvalidity)
            self._tries.clear()
        return MailboxPosition(mailbox_name(imap), uidvalidity, 0)

    def _due(self, place: MailboxPosition) -> tuple[int, ...]:
        """Return the missed mails to look at in this round, another one first each time: one may fail before others."""
        now = asyncio.get_running_loop().time()
        if not place.missed or now < self._missed_at:
            return ()
        self._missed_at = now + MISSED_AGAIN
        first = int(now / MISSED_AGAIN) % len(place.missed)
        return place.missed[first:] + place.missed[:first]

    async def _next(self, mailbox: Mailbox, imap: Imap, uid: int, place: MailboxPosition) -> MailboxPosition:
        """Take the next mail, or step over it when it failed too often; return the place behind it.

        The try is counted before it is made, so that whatever ends it counts; but for the store, which fails for all.
        """
        tried = self._tries.get(uid, 0)
        if tried >= TRIES:
            self._log("imap.skipped", uid=uid, folder=imap.folder, tries=tried)
            self._missed_at = max(self._missed_at, asyncio.get_running_loop().time() + MISSED_AGAIN)
        else:
            self._tries[uid] = tried + 1
            try:
                await self._take_one(mailbox, imap, uid)
            except StoreError:
                self._tries[uid] = tried
                raise
        self._tries.pop(uid, None)
        return await self._keep(place.past(uid, missed=tried >= TRIES))

    async def _keep(self, place: MailboxPosition) -> MailboxPosition:
        await asyncio.to_thread(write_place, self._place, place)
        return place

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
