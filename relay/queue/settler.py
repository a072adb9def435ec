"""The settler: makes the results of attempts durable, and at the start those of an earlier process."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from relay.queue.bounce_policy import Judged
from relay.queue.context import STORE_RETRY, ErrorBoundary, QueueContext
from relay.queue.message import ClaimedBatch, Message, Settlement
from relay.queue.ports import JournalRecord, StoreError
from relay.queue.retry import RetrySchedule
from relay.queue.settle import AttemptInfo, DsnSender, settle, settle_minimal

FROM_JOURNAL: dict[str, object] = {"recovered": "journal"}
"""Event fields of a delivery that the process ended before settling."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """Entries that an earlier process left in flight: those that wait again, and those delivered by the journal."""

    waiting: int
    delivered: int


class Settler:
    """Settles attempts in the store."""

    def __init__(self, tools: QueueContext) -> None:
        self._tools = tools

    def schedule(self) -> RetrySchedule:
        """Return the retry schedule of the settings in force."""
        queue = self._tools.settings().queue
        return RetrySchedule(queue.retry, queue.lifetime, queue.delay_notice)

    def settle(
        self, claimed: ClaimedBatch, judged: Sequence[Judged], started_at: float, now: float, notes: dict[str, object]
    ) -> Settlement:
        """Settle by the settings in force (`relay.queue.settle`).

        When that raises, settle minimally: an entry without a settlement would stay active until the next start.
        """
        attempt = AttemptInfo(started_at, now, self._tools.jitter(), notes)
        with ErrorBoundary(self._tools.watch, claimed.message.queue_id):
            return settle(
                claimed,
                judged,
                attempt,
                self.schedule(),
                self._origin(claimed.message),
                self._report_ids(),
                self._tools.bounce_policy(),
            )
        return settle_minimal(claimed, judged, attempt, self.schedule())

    async def apply(self, settlement: Settlement) -> None:
        """Make the settlement durable, retrying a failing store without end: a delivery must not be repeated."""
        while True:
            try:
                (written,) = await self._tools.store.apply([settlement])
                break
            except StoreError as error:
                self._tools.watch.store_trouble(error)
                await asyncio.sleep(STORE_RETRY)
        self._conclude(settlement, written)

    async def recover(self, noted: Sequence[JournalRecord]) -> Recovered:
        """Settle deliveries that the journal recorded, then return all other entries in flight to the queue.

        Called once, before the first claim. `noted` may be old or incomplete: it settles only entries that are still
        leased to an earlier process.
        """
        known = {(taken.queue_id, number): taken for taken in noted for number in taken.numbers}
        left = await self._tools.store.leased_by_previous_run(list(known)) if known else ()
        settlements = [
            self._taken(claimed, [known[entry.queue_id, entry.number] for entry in claimed.entries]) for claimed in left
        ]
        written = await self._tools.store.apply(settlements) if settlements else ()
        for settlement, one in zip(settlements, written, strict=True):
            self._conclude(settlement, one)
        waiting = await self._tools.store.recover(self._tools.clock(), self.schedule().longest_wait)
        return Recovered(waiting, sum(len(settlement.entries) for settlement in settlements))

    def _taken(self, claimed: ClaimedBatch, notes: Sequence[JournalRecord]) -> Settlement:
        at = max(note.at for note in notes)
        return self.settle(claimed, [Judged(note.outcome) for note in notes], at, at, dict(FROM_JOURNAL))

    def _conclude(self, settlement: Settlement, written: Settlement) -> None:
        """Publish the events that are durable now, and drop the journal records of the entries."""
        for entry in settlement.entries:
            self._tools.journal.forget(entry.queue_id, (entry.number,))
        self._tools.publish(written.events)
        for report in written.reports:
            self._tools.publish(report.events)

    def _origin(self, message: Message) -> DsnSender:
        """Return the sender and the provider of notifications about this message."""
        settings = self._tools.settings()
        hostname = settings.server.hostname
        domain = settings.domain_for(message.reverse_path)
        keys = hostname if hostname in settings.domains else ""
        return DsnSender(hostname, domain.provider, keys, domain.fallback_providers)

    def _report_ids(self) -> Iterator[str]:
        while True:
            yield self._tools.new_id(self._tools.clock())
