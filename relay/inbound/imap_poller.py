"""Polls the bounce mailbox: each mail is processed, then its UID is saved, then it is marked.

That order makes a crash harmless. A mail that is read again is recorded only once, because the store skips events it
has. A mail that fails TRIES times is skipped, so that it does not block those behind it, and retried later. A mark that
fails delays nothing: it is tried again in the next round.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from relay.config.settings import Imap, Settings
from relay.events.ports import StoreError
from relay.inbound.imap_errors import MailboxError
from relay.inbound.imap_mailbox import FolderState, Mailbox
from relay.inbound.imap_marks import Marks
from relay.inbound.imap_state import MailboxPosition, mailbox_name, read_position, write_position
from relay.inbound.imap_token import with_token
from relay.inbound.mail_effects import ProcessResult
from relay.log import Emit
from relay.metrics import Metrics
from relay.oauth.tokens import AccessTokens

IDLE = 60.0
"""Seconds until the settings are read again when they name no mailbox; a reload may add one."""

TRIES = 3
"""Consecutive failures after which a mail is skipped."""

MISSED_AGAIN = 3600.0
"""Seconds between two retries of skipped mails."""


class Poller:
    """Polls the mailbox of the current settings. `state_file` stores the position reached."""

    def __init__(
        self,
        settings: Callable[[], Settings],
        state_file: Path,
        process: Callable[[bytes], Awaitable[ProcessResult]],
        log: Emit,
        tokens: AccessTokens,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._tokens = tokens
        self._metrics = metrics
        self._state_file = state_file
        self._process = process
        self._log = log
        self._marks = Marks(log)
        self._connected = ""
        """The mailbox whose last poll succeeded."""
        self._last = ("", False)
        """The mailbox of the last poll, and whether that succeeded."""
        self._tries: dict[int, int] = {}
        """Failed attempts by UID, in this process."""
        self._rounds = 0
        """Rounds in which marks were tried again."""
        self._missed_at = 0.0
        """Time on the loop's clock at which skipped mails are retried."""

    def works(self, imap: Imap) -> bool | None:
        """Return whether the last poll of a mailbox succeeded, None if this process has not finished one."""
        name, succeeded = self._last
        return succeeded if name == mailbox_name(imap) else None

    async def run(self) -> None:
        """Poll at once and then every `interval`, until cancelled; an unfinished mail is read again later."""
        while True:
            imap = self._settings().bounces.imap
            if imap is not None:
                await self._try(imap)
            await asyncio.sleep(imap.interval if imap else IDLE)

    async def _try(self, imap: Imap) -> None:
        try:
            if imap.oauth is None:
                await self.read(imap)
            else:
                await with_token(self._tokens, partial(self.read, imap))
        except (MailboxError, StoreError, OSError) as error:
            self._connected = ""
            self._last = (mailbox_name(imap), False)
            self._metrics.imap_up.labels(imap.host).set(0)
            self._log("imap.failed", error=str(error))
        else:
            self._last = (mailbox_name(imap), True)
            self._metrics.imap_up.labels(imap.host).set(1)
            self._metrics.imap_last_success.labels(imap.host).set_to_current_time()

    async def read(self, imap: Imap, token: str = "") -> None:
        """Process all new mail. Raises MailboxError, StoreError or OSError; the rest waits for the next poll.

        `token` is an access token that takes the place of the password.
        """
        mailbox = Mailbox(imap)
        try:
            await asyncio.to_thread(mailbox.open, token)
            state = await asyncio.to_thread(mailbox.select)
            if self._connected != mailbox_name(imap):
                self._connected = mailbox_name(imap)
                self._log("imap.connected", host=imap.host, folder=imap.folder, messages=state.messages)
            position = await asyncio.to_thread(self._position_in, mailbox, imap, state)

            uids = await asyncio.to_thread(mailbox.uids_after, position.uid, state.messages)
            missed = self._due(position)
            position, left = await self._left(mailbox, position)
            self._marks.begin_round()

            for uid in uids:
                position = await self._next(mailbox, imap, uid, position)
            for uid in missed:
                position = await self._process_one(mailbox, imap, uid, position)
            for uid in left:
                if await self._marks.mark(mailbox, imap, uid):
                    position = position.marked(uid)

            if position.unmarked or left or missed or uids:
                await self._save(position)
            await asyncio.to_thread(mailbox.close)
        finally:
            mailbox.abandon()

    def _position_in(self, mailbox: Mailbox, imap: Imap, state: FolderState) -> MailboxPosition:
        """Return the position reached, or the start when the UIDs changed. Blocking."""
        saved = read_position(self._state_file)
        if saved is not None:
            if saved.mailbox == mailbox_name(imap):
                if saved.uidvalidity == state.uidvalidity and not _went_back(mailbox, state, saved):
                    return saved
                self._log("imap.renumbered", folder=imap.folder, before=saved.uidvalidity, now=state.uidvalidity)
            self._tries.clear()
        return MailboxPosition(mailbox_name(imap), state.uidvalidity, 0)

    async def _left(self, mailbox: Mailbox, position: MailboxPosition) -> tuple[MailboxPosition, tuple[int, ...]]:
        """Return the position without marks of mail that is gone, and the marks to try again.

        They are rotated, so that a mail which takes no mark does not stop those of others.
        """
        if not position.unmarked:
            return position, ()
        there = await asyncio.to_thread(mailbox.existing, position.unmarked)
        for uid in position.unmarked:
            position = position if uid in there else position.marked(uid)
        left = position.unmarked
        self._rounds += 1
        first = self._rounds % len(left) if left else 0
        return position, left[first:] + left[:first]

    def _due(self, position: MailboxPosition) -> tuple[int, ...]:
        """Return the skipped mails to retry now, rotated each time, so that a failing one does not block others."""
        now = asyncio.get_running_loop().time()
        if not position.missed or now < self._missed_at:
            return ()
        self._missed_at = now + MISSED_AGAIN
        first = int(now / MISSED_AGAIN) % len(position.missed)
        return position.missed[first:] + position.missed[:first]

    async def _next(self, mailbox: Mailbox, imap: Imap, uid: int, position: MailboxPosition) -> MailboxPosition:
        """Process the next mail, or skip it when it failed too often; return the position behind it.

        The attempt is counted before it begins, so that a crash counts too. A StoreError does not count: it is not the
        mail's fault.
        """
        tries = self._tries.get(uid, 0)
        if tries >= TRIES:
            self._log("imap.skipped", uid=uid, folder=imap.folder, tries=tries)
            self._missed_at = max(self._missed_at, asyncio.get_running_loop().time() + MISSED_AGAIN)
            position = await self._save(position.skipped(uid))
        else:
            self._tries[uid] = tries + 1
            try:
                position = await self._process_one(mailbox, imap, uid, position)
            except StoreError:
                self._tries[uid] = tries
                raise

        self._tries.pop(uid, None)
        return position

    async def _save(self, position: MailboxPosition) -> MailboxPosition:
        await asyncio.to_thread(write_position, self._state_file, position)
        return position

    async def _process_one(self, mailbox: Mailbox, imap: Imap, uid: int, position: MailboxPosition) -> MailboxPosition:
        """Process a mail, save the position behind it, and mark it; return the position."""
        content = await asyncio.to_thread(mailbox.fetch, uid)
        if content is None:
            return await self._save(position.taken(uid, mark=False))
        result = await self._process(content)
        to_mark = result.joined and result.kind != "other" and imap.handled != "leave"
        position = await self._save(position.taken(uid, mark=to_mark))

        is_marked = to_mark and await self._marks.mark(mailbox, imap, uid)
        action = imap.handled if is_marked else "leave"
        self._log("imap.taken", uid=uid, kind=result.kind, handled=action, events=len(result.events))
        # Saved with the next mail: after a crash the mark is repeated, which changes nothing.
        return position.marked(uid) if is_marked else position


def _went_back(mailbox: Mailbox, state: FolderState, saved: MailboxPosition) -> bool:
    """Whether the server numbers mail anew under the same UIDVALIDITY, after a restore for example.

    A UIDNEXT that mail of the folder already has is wrong, and says nothing.
    """
    if state.uidnext is None or state.uidnext > saved.uid:
        return False
    return all(uid < state.uidnext for uid in mailbox.uids_after(0, state.messages))
