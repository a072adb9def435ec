"""Events outside delivery attempts, and returned mail."""

from collections.abc import Sequence

from relay.events.event import Event
from relay.queue.message import ReturnedMail
from relay.storage import queue_writes
from relay.storage.due_lanes import DueLanes
from relay.storage.operations import ROW_COST, StoreDatabase
from relay.storage.suppressions import SuppressionTable
from relay.storage.unsubscribes import UnsubscribeTable


class EventTable:
    """Implements EventStore and ReturnedMailStore."""

    def __init__(
        self,
        database: StoreDatabase,
        lanes: DueLanes,
        suppressions: SuppressionTable,
        unsubscribes: UnsubscribeTable,
    ) -> None:
        self._database = database
        self._lanes = lanes
        self._suppressions = suppressions
        self._unsubscribes = unsubscribes

    async def record(self, events: Sequence[Event], *, again: bool = False) -> Sequence[Event]:
        """Make the events durable and return them with the addresses of their recipients filled in.

        `again` leaves out events that are stored already.
        """
        operation = queue_writes.record_new if again else queue_writes.record
        return await self._database.write(operation(events, self._unsubscribes), ROW_COST * len(events))

    async def record_returned(self, returned: Sequence[ReturnedMail]) -> Sequence[Event]:
        """Store new returned mail in one transaction; return its events. Known returned mail is skipped."""
        self._suppressions.expect(evidence for one in returned for evidence in one.evidence)
        size = sum(ROW_COST + sum(len(forward.content) for forward in one.forwards) for one in returned)
        return await self._database.write_mail(queue_writes.take_back(self._lanes, returned, self._unsubscribes), size)
