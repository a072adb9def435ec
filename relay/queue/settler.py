"""Makes the results of attempts durable. At the start, also the deliveries that an earlier process did not settle."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from relay.events.ports import RejectedError, StoreError
from relay.queue.bounce_policy import Classified
from relay.queue.context import ErrorBoundary, QueueContext, pause, pause_after
from relay.queue.due_dsns import DsnSender, dsn_sender
from relay.queue.message import ClaimedBatch, Message, Settlement
from relay.queue.ports import JournalRecord
from relay.queue.retry import RetrySchedule
from relay.queue.settlement import AttemptInfo, is_plain_delivery, plain, settle, settle_minimal
from relay.suppression.model import session_scope

TRIES = 5
"""Times that a settlement is tried that fails for a reason of its own."""

FROM_JOURNAL: dict[str, object] = {"recovered": "journal"}
"""Event fields of a delivery that an earlier process made and did not settle."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """Entries in flight when the earlier process ended."""

    waiting: int
    """Entries returned to the queue."""
    delivered: int
    """Entries that the journal recorded as delivered."""


class Settler:
    """Settles attempts in the store."""

    def __init__(self, context: QueueContext) -> None:
        self._context = context
        self._queue = context.settings().queue
        self._schedule = RetrySchedule(self._queue.retry, self._queue.lifetime, self._queue.delay_notice)

    def schedule(self) -> RetrySchedule:
        """Return the retry schedule of the settings in force."""
        queue = self._context.settings().queue
        if queue is not self._queue:
            self._queue = queue
            self._schedule = RetrySchedule(queue.retry, queue.lifetime, queue.delay_notice)
        return self._schedule

    def settle(
        self,
        claimed: ClaimedBatch,
        classified: Sequence[Classified],
        started_at: float,
        now: float,
        notes: dict[str, object],
    ) -> Settlement:
        """Settle by the settings in force, with `settle`, or with `settle_minimal` when that raises."""
        attempt = AttemptInfo(started_at, now, self._context.jitter(), notes)
        with ErrorBoundary(self._context.watch, claimed.message.queue_id):
            return settle(
                claimed,
                classified,
                attempt,
                self.schedule(),
                self._dsn_sender(claimed.message),
                self._report_ids(),
                self._context.bounce_policy(),
                self._scope(claimed),
            )

        # An entry without a settlement would stay active until the next start.
        return settle_minimal(claimed, classified, attempt, self.schedule())

    def settle_delivery(
        self,
        claimed: ClaimedBatch,
        classified: Sequence[Classified],
        started_at: float,
        now: float,
        notes: dict[str, object],
    ) -> Settlement | None:
        """Settle a delivery of every entry that causes no notification, as most are; None for any other outcome."""
        with ErrorBoundary(self._context.watch, claimed.message.queue_id):
            if is_plain_delivery(claimed, classified):
                return settle_minimal(claimed, classified, AttemptInfo(started_at, now, 0.0, notes), self.schedule())
        return None

    async def settle_proven(
        self,
        claimed: ClaimedBatch,
        classified: Sequence[Classified],
        started_at: float,
        now: float,
        notes: dict[str, object],
    ) -> Settlement:
        """Settle. A notification to a submitted reverse-path that nothing proves yet is made if SPF or DKIM proves it.

        DNS is asked only where a notification is due, so that it delays no acceptance of a message.
        """
        policy = claimed.message.policy
        if not policy.unproven_sender or policy.forward_domain:
            return self.settle(claimed, classified, started_at, now, notes)
        proven = replace(claimed.message, policy=replace(policy, unproven_sender=False))
        settlement = self.settle(replace(claimed, message=proven), classified, started_at, now, notes)
        if not settlement.dsns or await self._is_proven(claimed):
            return settlement
        # The delay counts as reported, so that later attempts do not ask again.
        return replace(settlement, dsns=())

    async def _is_proven(self, claimed: ClaimedBatch) -> bool:
        with ErrorBoundary(self._context.watch, claimed.message.queue_id):
            return await self._context.prove_sender(claimed)
        return False

    async def apply(self, settlement: Settlement) -> None:
        """Make the settlement durable. A failing store is retried without limit: a delivery must not be repeated.

        A settlement that fails for a reason of its own is tried TRIES times. Then it is made without what only
        accompanies it: its events are bare, and there is no evidence; if that fails too, no notification.
        """
        for attempt in range(TRIES):
            if await self._try(settlement, settlement):
                return
            if attempt + 1 < TRIES:
                await pause()

        queue_id = settlement.entries[0].queue_id if settlement.entries else ""
        self._context.watch.settled_plainly(queue_id, len(settlement.entries))
        bare = plain(settlement)
        if not await self._try(settlement, bare):
            await self._try(settlement, replace(bare, reports=(), dsns=()))

    async def _try(self, settlement: Settlement, given: Settlement) -> bool:
        """Apply a form of the settlement; False when it fails for a reason of its own, which is reported.

        It is applied again and again while the store itself fails.
        """
        queue_id = settlement.entries[0].queue_id if settlement.entries else ""
        with ErrorBoundary(self._context.watch, queue_id):
            while True:
                try:
                    (written,) = await self._context.store.apply([given])
                    break
                except RejectedError:
                    raise
                except StoreError as error:
                    await pause_after(self._context, error)
            self._publish(settlement, written)
            return True
        return False

    async def recover(self, records: Sequence[JournalRecord]) -> Recovered:
        """Settle deliveries that the journal recorded, then return all other entries in flight to the queue.

        Called once, before the first claim. `records` may be old or incomplete: only entries still leased to an earlier
        process are settled.
        """
        known = {(record.queue_id, number): record for record in records for number in record.numbers}
        unsettled = await self._context.store.leased_by_previous_run(list(known)) if known else ()
        settlements = [
            self._settle_recorded(claimed, [known[entry.queue_id, entry.number] for entry in claimed.entries])
            for claimed in unsettled
        ]

        for settlement in settlements:
            await self.apply(settlement)

        waiting = await self._context.store.recover(self._context.clock(), self.schedule().longest_wait)
        return Recovered(waiting, sum(len(settlement.entries) for settlement in settlements))

    def _settle_recorded(self, claimed: ClaimedBatch, records: Sequence[JournalRecord]) -> Settlement:
        at = max(record.at for record in records)
        return self.settle(claimed, [Classified(record.outcome) for record in records], at, at, dict(FROM_JOURNAL))

    def _publish(self, settlement: Settlement, written: Settlement) -> None:
        """Publish the events, which are durable now, and remove the entries from the journal."""
        for entry in settlement.entries:
            self._context.journal.forget(entry.queue_id, (entry.number,))
        self._context.publish(written.events)
        for report in written.reports:
            self._context.publish(report.events)

    def _dsn_sender(self, message: Message) -> DsnSender:
        """Return the sender and the provider of notifications about this message."""
        return dsn_sender(self._context.settings(), message)

    def _scope(self, claimed: ClaimedBatch) -> str | None:
        """Return the scope in which replies count against the recipients, None if they do not count."""
        policy = claimed.message.policy
        return session_scope(self._context.settings(), claimed.entries[0].lane, policy.domain, policy.identity)

    def _report_ids(self) -> Iterator[str]:
        while True:
            yield self._context.new_id(self._context.clock())
