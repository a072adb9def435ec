"""Posts the events of one webhook, at least once each.

A round posts failures that are due, else the next events, else those of a replay. While the receiver takes nothing, the
cursor stays and nothing piles up: the events are in the store already. Only an event that failed alone is put aside.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from relay.events.ports import StoreError
from relay.webhooks.build import Record, build
from relay.webhooks.feed import EventFeed, FeedPage, PositionError, StoredEvent
from relay.webhooks.filters import filter_of
from relay.webhooks.formats.registry import FORMATS
from relay.webhooks.ports import Failure, WebhookStore
from relay.webhooks.posting import Outcome, Outcomes, PostContext, Posting
from relay.webhooks.progress import Replay
from relay.webhooks.response_meaning import FAILING_AFTER, retry_at

PAGE = 200
"""Events read at once."""

MAX_ASIDE = 100
"""Failures that wait for another attempt, at most. At more the cursor stays."""

POLL = 1.0
"""Seconds between two reads of events that another node stored."""

HELD_POLL = 5.0
"""Seconds between two checks of a webhook that is paused, or whose receiver gets no posts until later."""

GATHER = 0.25
"""Seconds that the first event waits for others."""

STORE_WAIT = 5.0
"""Seconds before the next attempt after the store failed."""


class WebhookSender:
    """Posts to one receiver until it is cancelled. `retention` returns the seconds for which events are kept."""

    def __init__(
        self,
        context: PostContext,
        *,
        feed: EventFeed,
        store: WebhookStore,
        leads: Callable[[], bool],
        retention: Callable[[], float],
    ) -> None:
        self.webhook = context.webhook
        self.cursor = context.cursor
        self.posts = context.posts
        """The last posts, newest last."""
        self._context = context
        self._feed = feed
        self._store = store
        self._leads = leads
        self._retention = retention
        self._clock = context.clock
        self._filter = filter_of(context.webhook)
        self._format = FORMATS[context.webhook.format]
        self._wake = asyncio.Event()
        self.began = False
        """Whether the cursor is read: this node posts."""

    def wake(self) -> None:
        """Read the next events now."""
        self._wake.set()

    async def run(self) -> None:
        """Post until cancelled."""
        async with self._context.client:
            try:
                while True:
                    self._wake.clear()  # Before the round: it may have read before the event that wakes.
                    try:
                        await self._wait(await self._next_round())
                    except StoreError:
                        await asyncio.sleep(STORE_WAIT)
            finally:
                if self.began:
                    with suppress(StoreError):
                        await self.cursor.sync()

    async def _next_round(self) -> float:
        """Run a round if this node posts for all; return the seconds to wait."""
        if not self._leads():
            self.began = False
            return HELD_POLL
        if not self.began:
            await self.cursor.begin(await self._feed.end())
            self.began = True
        return await self.round()

    async def _wait(self, seconds: float) -> None:
        """Wait, at most until events come; then a little longer for others."""
        if seconds <= 0:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
            await asyncio.sleep(GATHER)

    async def round(self) -> float:
        """Post what is next; return the seconds after which there may be more, 0 for at once. Raises StoreError."""
        cursor, now = self.cursor, self._clock()
        if cursor.is_due:
            await cursor.sync()
        if cursor.state.paused_at:
            return HELD_POLL
        if (wait := cursor.progress.next_at - now) > 0:
            return min(wait, HELD_POLL)
        if await self._give_up_if_due(now):
            return 0.0

        if cursor.aside and await self._retry_due(now):
            return 0.0
        if cursor.aside >= MAX_ASIDE:
            return POLL
        if await self._post_next():
            return 0.0
        if cursor.state.replay is not None:
            await self._replay(cursor.state.replay)
            return 0.0
        return POLL

    async def _give_up_if_due(self, now: float) -> bool:
        """Pause the webhook if its receiver failed for too long; return whether it did."""
        progress = self.cursor.progress
        failing_for = now - progress.failing_since
        if progress.failures < FAILING_AFTER or failing_for < self.webhook.give_up or not progress.last:
            return False
        last = progress.last
        why = f"{last.status} {last.text}" if last.status else last.text
        await self._pause(f"no success for {failing_for / 3600:.0f} hours: {why}")
        return True

    async def _pause(self, why: str) -> None:
        await self.cursor.pause(why)
        self._context.report.paused(self.webhook.name, why)

    async def _send(self, records: Sequence[Record], *, apart: bool = False) -> Outcomes:
        """Post records, and return the outcomes; a receiver that is gone pauses the webhook."""
        posting = Posting(self._context)
        outcomes = await posting.send(records, apart=apart)
        if posting.gone:
            await self._pause("the receiver asks for no further events (410)")
        return outcomes

    async def _retry_due(self, now: float) -> bool:
        """Post failures again whose time has come; return whether there were any."""
        failures = {one.position: one for one in await self._store.due(self.webhook.name, now, MAX_ASIDE)}
        if not failures:
            return False
        records = self._records(await self._feed.at(list(failures)))
        for position in failures.keys() - {one.stored.position for one in records}:
            self.cursor.retried(failures[position], None)  # It is purged, or not asked for any more.

        for position, outcome in (await self._send(records, apart=True)).items():
            self.cursor.retried(failures[position], self._failure(outcome, failures[position]))
        await self.cursor.sync()
        return True

    async def _post_next(self) -> bool:
        """Post the events after the cursor; return whether there were any."""
        cursor = self.cursor
        try:
            page = await self._feed.read(cursor.state.position, PAGE)
        except PositionError as error:
            await self._begin_anew(str(error))
            return True
        if page.end == cursor.state.position:
            cursor.current()
            self._context.report.behind(self.webhook.name, 0.0, cursor.aside)
            return False

        self._report_lag(page)
        for position, outcome in (await self._send(self._wanted(page))).items():
            cursor.handle(position, self._failure(outcome))
        cursor.advance(page.events, page.end)
        return True

    async def _begin_anew(self, why: str) -> None:
        """Go on by the time, after the database was replaced by another one."""
        since = self.cursor.state.current_at
        self._context.report.lost(self.webhook.name, since, why)
        self.cursor.move(await self._feed.since(since))

    def _report_lag(self, page: FeedPage) -> None:
        """Report how old the first event is, and events that were purged before it."""
        cursor, now = self.cursor, self._clock()
        at = page.events[0].event.at if page.events else now
        self._context.report.behind(self.webhook.name, max(now - at, 0.0), cursor.aside)
        since = cursor.state.current_at
        if now - since > self._retention():
            why = "it was behind for longer than events are kept"
            self._context.report.lost(self.webhook.name, since, why)
            cursor.move(cursor.state.position)

    def _wanted(self, page: FeedPage) -> list[Record]:
        """Return the records to post; note the other events of the page as handled."""
        new = [one for one in page.events if self.cursor.needs(one.position)]
        records = self._records(new)
        wanted = {one.stored.position for one in records}
        for one in new:
            if one.position not in wanted:
                self.cursor.handle(one.position)
        return records

    def _records(self, events: Sequence[StoredEvent]) -> list[Record]:
        """Return the records of events that this webhook gets; count those of stopped types."""
        subject = "subject" in self.webhook.include
        built = (build(one, subject=subject) for one in events if self._filter.passes(one))
        taken = [one for one in built if self._format.takes(one)]
        stopped = self.cursor.progress.stopped
        left = [one for one in taken if not stopped or self._format.type_of(one) not in stopped]
        if len(left) < len(taken):
            self.cursor.progress = self.cursor.progress.skip(len(taken) - len(left))
        return left

    async def _replay(self, replay: Replay) -> None:
        """Post the next events of a replay. One that the receiver did not take is posted again in the next round."""
        try:
            page = await self._feed.read(replay.position, PAGE)
        except PositionError:  # The database was replaced by another one: the times still hold.
            start, end = await self._feed.since(replay.since), await self._feed.end()
            await self.cursor.move_replay(replay, replace(replay, position=start, end=end))
            return
        within = [one for one in page.events if one.position <= replay.end]
        records = self._records([one for one in within if replay.since <= one.event.at < replay.until])
        outcomes = await self._send(records)
        if len(outcomes) < len(records):
            return
        failed = [one for outcome in outcomes.values() if (one := self._failure(outcome)) is not None]
        if failed:
            await self.cursor.add(failed)
        ended = not page.is_full or len(within) < len(page.events)
        await self.cursor.move_replay(replay, None if ended else replace(replay, position=page.end))

    def _failure(self, outcome: Outcome, before: Failure | None = None) -> Failure | None:
        """Return what is kept of an outcome, None if the event is delivered."""
        if outcome.step == "delivered":
            return None
        record, now = outcome.record, self._clock()
        attempts, schedule = before.attempts + 1 if before else 1, self.webhook.retry
        again = outcome.step == "retry" and attempts <= len(schedule)
        jitter = 2 * self._context.random() - 1
        if not again:
            self._give_up(outcome)
        return Failure(
            position=record.stored.position,
            event_id=record.id,
            type=record.type,
            queue_id=record.event.queue_id,
            recipient=record.event.address,
            first_at=before.first_at if before else now,
            next_at=retry_at(schedule, attempts, now, jitter) if again else 0.0,
            attempts=attempts,
            status=outcome.answer.status,
            answer=outcome.answer.text,
        )

    def _give_up(self, outcome: Outcome) -> None:
        """Count and report an event that is not posted again by itself. Refused ones are counted already."""
        record, answer = outcome.record, outcome.answer
        if outcome.step == "retry":
            self.cursor.progress = self.cursor.progress.give_up(1)
        self._context.report.given_up(self.webhook.name, record.type, record.event.queue_id, answer.status, answer.text)
