"""Records the events of readers, within the limits of repeated requests."""

from collections.abc import Callable, Mapping
from random import getrandbits

from relay.clock import Clock
from relay.events.event import Event, Kind
from relay.events.sink import EventSink
from relay.rewrite.tokens import Token
from relay.tracker.canary import is_canary
from relay.tracker.client import Client, client_group
from relay.tracker.repeats import RepeatedEvents

_NOTHING: Mapping[str, object] = {}


class Recorder:
    """Passes events to the sink. `on_folded` is called with the number of those that were counted instead."""

    def __init__(self, sink: EventSink, clock: Clock, on_folded: Callable[[int], None]) -> None:
        self._sink = sink
        self._clock = clock
        self._on_folded = on_folded
        self._repeats = RepeatedEvents()
        self._unsubscribes = RepeatedEvents()

    def record(
        self, kind: Kind, token: Token, address: str, client: Client, more: Mapping[str, object] = _NOTHING
    ) -> None:
        """Record an open or a click, unless the request is a canary."""
        if is_canary(token):
            return
        event = self._event(kind, token, address, client, more)
        if self._repeats.admits(event, client_group(address)):
            self._sink.put(event)
        else:
            self._on_folded(1)

    async def keep_unsubscribe(self, token: Token, address: str, client: Client, by: str) -> bool:
        """Return True when the unsubscribe is on disk. After enough of a recipient, no further one is written."""
        event = self._event(Kind.UNSUBSCRIBE, token, address, client, {"by": by})
        if self._unsubscribes.is_full(event):
            return True
        kept = await self._sink.keep(event)
        if kept:
            self._unsubscribes.admits(event, "")
        return kept

    def flush(self) -> None:
        """Record the counts whose time has ended."""
        for event in self._repeats.ended(self._clock()):
            self._sink.put(event)

    def close(self) -> None:
        """Record all counts."""
        for event in self._repeats.close():
            self._sink.put(event)

    def _event(
        self, kind: Kind, token: Token, address: str, client: Client, more: Mapping[str, object] = _NOTHING
    ) -> Event:
        data = {"id": f"{getrandbits(64):016x}", **more, "client": address, **client.event_fields(kind)}
        return Event(kind, self._clock(), token.queue_id, token.number, "", data)
