"""Records the events of readers. What exceeds the limits of one link or pixel is counted, and kept as one event.

Anybody who holds a token can request it without end, from any number of addresses. Counters are in memory, and end with
the process: each process and node has its own.

| limit                                                    | beyond it                                                |
|----------------------------------------------------------|----------------------------------------------------------|
| `KEPT` events of a token from a client network, an hour  | one event for the rest of the hour                       |
| `PER_RECIPIENT` events of a recipient a day (UTC)        | one event of each kind for the rest of the day           |
| `PER_MESSAGE` events of a message a day                  | the same, for each recipient                             |
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from random import getrandbits

from relay.clock import Clock
from relay.events.event import Event, Kind
from relay.events.sink import EventSink
from relay.log.encoded_fields import EncodedFields, encode_text, encoded
from relay.rewrite.tokens import Kind as TokenKind
from relay.rewrite.tokens import Token
from relay.tracker.canary import is_canary
from relay.tracker.client import Client, client_group

KEPT = 20
"""Events of a token, kind and client network that are kept as they are, an hour."""

PER_RECIPIENT = 1_000
"""Events of one recipient of a message that are kept as they are, a day."""

PER_MESSAGE = 10_000
"""Events of one message that are kept as they are, a day."""

MAX_WINDOWS = 50_000
"""Tokens and networks with one event, at most, and as many with several. The oldest are forgotten for a new one."""

_AT_ONCE = 10
"""The part that is forgotten at once: to look for the oldest one costs more than to remove it."""

MAX_COUNTERS = 100_000
"""Recipients that are counted for a day, at most. The message without an event for longest is forgotten."""

_MESSAGE = -1
"""In the place of the number of a recipient: all of the message."""

_HOUR, _DAY = 3600.0, 86400.0

_SCAN = 60.0
"""Seconds between two searches for windows that have ended."""

_OPEN, _CLICK = Kind.OPEN, Kind.CLICK
"""Members of an enumeration take long to look up."""

_Key = int
"""The hash of queue id, number, kind, target and network: secret, of 64 bits, and a tenth of the size of the values."""


@dataclass(slots=True)
class _Window:
    """Counted events of one key."""

    ends_at: float
    kept: int = 0
    folded: int = 0
    first_at: float = 0.0
    last: Event | None = None
    """The last folded event."""


class RepeatedEvents:
    """Decides which events of readers are kept, and folds the others. `folded` is their number so far."""

    def __init__(self) -> None:
        self._once: dict[_Key, float] = {}
        """When the hours end that have had one event so far: most remain so, and need no window."""
        self._windows: dict[_Key, _Window] = {}
        self._counters: OrderedDict[str, dict[int, int]] = OrderedDict()
        """Kept events of the day by queue id, then by number; by `_MESSAGE` those of the whole message."""
        self._counted = 0
        """Recipients in `_counters`."""
        self._day = 0
        self._forgotten: list[Event] = []
        self._scan_at = 0.0
        self.folded = 0

    def __len__(self) -> int:
        return len(self._once) + len(self._windows)

    def admits(self, event: Event, network: str) -> bool:
        """Return True if the event is to be kept as it is. Otherwise it is counted."""
        now, key = event.at, _key(event, network)
        # One that ends later than it can began before the clock was set back.
        is_first = key not in self._windows and not now < self._once.get(key, 0.0) <= now + _HOUR
        window = None if is_first else self._window(key, now, now + _HOUR)
        if window is None or window.kept < KEPT:
            if self._is_within_day(event):
                if window is not None:
                    window.kept += 1
                    return True
                if len(self._once) >= MAX_WINDOWS:
                    self._forget_oldest()
                self._once[key] = now + _HOUR
                return True
            window = self._window(_key(event), now, (self._day + 1) * _DAY)

        self._fold(window, event)
        return False

    def is_full(self, event: Event, network: str = "") -> bool:
        """Whether the next event like this one would only be counted."""
        window = self._windows.get(_key(event, network))
        return window is not None and window.kept >= KEPT and event.at < window.ends_at

    def ended(self, now: float) -> list[Event]:
        """Return the folded events of the windows that have ended, and of those that were forgotten."""
        ended = self._forgotten
        self._forgotten = []
        if 0 < self._scan_at - now <= _SCAN:
            return ended

        self._scan_at = now + _SCAN
        for key in [key for key, ends_at in self._once.items() if ends_at <= now]:
            del self._once[key]
        for key in [key for key, window in self._windows.items() if window.ends_at <= now]:
            ended += _folded(self._windows.pop(key))
        return ended

    def close(self) -> list[Event]:
        """Return all folded events."""
        self._scan_at = 0.0
        return self.ended(float("inf"))

    def _forget_oldest(self) -> None:
        """Forget the oldest hours with one event."""
        for oldest in list(islice(self._once, MAX_WINDOWS // _AT_ONCE)):
            del self._once[oldest]

    def _window(self, key: _Key, now: float, ends_at: float) -> _Window:
        window = self._windows.get(key)
        # A window that is longer than it can be is from before the clock was set back.
        if window is not None and now < window.ends_at <= max(ends_at, now + _HOUR):
            return window
        if window is not None:
            self._forget(key)
        elif len(self._windows) >= MAX_WINDOWS:
            for oldest in list(islice(self._windows, MAX_WINDOWS // _AT_ONCE)):
                self._forget(oldest)
        first_ends_at = self._once.pop(key, 0.0)
        window = _Window(first_ends_at, kept=1) if now < first_ends_at <= ends_at else _Window(ends_at)
        self._windows[key] = window
        return window

    def _forget(self, key: _Key) -> None:
        self._forgotten += _folded(self._windows.pop(key))

    def _is_within_day(self, event: Event) -> bool:
        """Count the event for its recipient and its message, unless one of both has had its number today."""
        day = int(event.at // _DAY)
        if day != self._day:
            self._day = day
            self._counters.clear()
            self._counted = 0

        counts = self._counters.get(event.queue_id)
        if counts is None:
            counts = self._counters[event.queue_id] = {}
        else:
            self._counters.move_to_end(event.queue_id)
        own, all_of_message = counts.get(event.number, 0), counts.get(_MESSAGE, 0)
        if own >= PER_RECIPIENT or all_of_message >= PER_MESSAGE:
            return False

        counts[event.number] = own + 1
        counts[_MESSAGE] = all_of_message + 1
        if not own:
            self._counted += 1
            self._forget_counters()
        return True

    def _forget_counters(self) -> None:
        """Forget the messages without an event for longest, while too many recipients are counted."""
        while self._counted > MAX_COUNTERS:
            _, counts = self._counters.popitem(last=False)
            self._counted -= len(counts) - 1

    def _fold(self, window: _Window, event: Event) -> None:
        self.folded += 1
        if not window.folded:
            window.first_at = event.at
        window.folded += 1
        window.last = event


def _key(event: Event, network: str | None = None) -> _Key:
    """Return the key of a token and network; without a network, that of all events of a kind and recipient."""
    if network is None:
        return hash((event.queue_id, event.number, event.kind))
    target = event.data["target"] if event.kind is _CLICK else ""
    return hash((event.queue_id, event.number, event.kind, target, network))


def _folded(window: _Window) -> Iterator[Event]:
    """Yield the event that stands for the counted ones. So many requests are those of a machine."""
    if window.last is not None:
        counted = {"count": window.folded, "first_at": window.first_at, "last_at": window.last.at}
        data = {**window.last.data, **counted, "machine": True, "reason": "repeated"}
        yield replace(window.last, data=data)


Hit = tuple[Token, str, Client, Mapping[str, str]]
"""The token of a request, the address of the client, the client, and what the event says in addition."""

NOTHING: Mapping[str, str] = {}
"""What the event of a usual open or click says in addition."""

_KINDS = {TokenKind.OPEN: _OPEN, TokenKind.CLICK: _CLICK, TokenKind.UNSUBSCRIBE: Kind.UNSUBSCRIBE}
"""Kinds of events by those of the tokens that cause them."""


class ReaderEvents:
    """Passes events to the sink. `on_folded` is called with the number of those that were counted instead."""

    def __init__(self, sink: EventSink, clock: Clock, on_folded: Callable[[int], None]) -> None:
        self._sink = sink
        self._clock = clock
        self._on_folded = on_folded
        self._repeats = RepeatedEvents()
        self._unsubscribes = RepeatedEvents()

    def record(self, hits: Sequence[Hit]) -> None:
        """Record opens and clicks at the present time. Requests of the canary are left out."""
        now, folded = self._clock(), self._repeats.folded
        admitted = []
        for hit in hits:
            token, address, *_ = hit
            if not is_canary(token):
                event = _event(hit, now)
                if self._repeats.admits(event, client_group(address)):
                    admitted.append(event)
        self._sink.put(*admitted)
        if self._repeats.folded > folded:
            self._on_folded(self._repeats.folded - folded)

    async def keep_unsubscribe(self, token: Token, address: str, client: Client, by: str) -> bool:
        """Return True when the unsubscribe is on disk. After enough of a recipient, no further one is written."""
        event = _event((token, address, client, {"by": by}), self._clock())
        if self._unsubscribes.is_full(event):
            return True
        kept = await self._sink.keep(event)
        if kept:
            self._unsubscribes.admits(event, "")
        return kept

    def flush(self) -> None:
        """Record the counts whose time has ended."""
        self._sink.put(*self._repeats.ended(self._clock()))

    def close(self) -> None:
        """Record all counts."""
        self._sink.put(*self._repeats.close())


def _event(hit: Hit, now: float) -> Event:
    token, address, client, more = hit
    about = _about(token.target, **more) if token.target or more else _NO_FIELDS
    kind = _KINDS[token.kind]
    data = reader_fields(getrandbits(64), kind, address, client, about)
    return Event(kind, now, token.queue_id, token.number, "", data, NOTHING)


@lru_cache(maxsize=256)
def _about(target: str, **more: str) -> EncodedFields:
    """Return the target of a link, and what else an event says. Cached: many readers follow the same links."""
    return encoded({"target": target, **more} if target else more)


_NO_FIELDS = encoded({})


def reader_fields(number: int, kind: Kind, address: str, client: Client, more: EncodedFields) -> EncodedFields:
    """Return the fields of an event of a reader. `number` of 64 bits makes it unique."""
    about = client.open_fields if kind is _OPEN else client.click_fields
    key = f"{number:016x}"
    made = EncodedFields({"id": key, **more, "client": address, **about})
    before, behind = f"{more.members}," if more else "", f",{about.members}" if about else ""
    made.members = f'"id":"{key}",{before}"client":{encode_text(address)}{behind}'
    return made
