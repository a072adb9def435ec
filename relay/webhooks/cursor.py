"""The cursor of one webhook in memory: which events need no post any more, and what is not written yet."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from relay.clock import Clock
from relay.webhooks.feed import Position, StoredEvent
from relay.webhooks.ports import Failure, WebhookState, WebhookStore
from relay.webhooks.progress import Progress, Replay

SAVE_EVERY, SAVE_AFTER = 1.0, 500
"""Seconds and events after which the cursor is written. A crash repeats at most those since."""

_CURRENT_EVERY = 60.0
"""Seconds between two notes of the time at which nothing was left to post."""


class Cursor:
    """Moves over events that are handled, in order. `store` is written now and then."""

    def __init__(self, name: str, store: WebhookStore, clock: Clock, senders: str = "") -> None:
        self.state = WebhookState(name, Position(), Progress())
        """The state as it is now; that of the store may be a second old."""
        self.aside = 0
        """Failures that wait for another attempt."""
        self._senders = senders
        self._store = store
        self._clock = clock
        self._handled: set[Position] = set()
        """Events after the position that need no post any more, while others before them do."""
        self._failed: dict[Position, Failure] = {}
        self._done: set[Position] = set()
        self._unsaved = 0
        self._synced_at = 0.0

    @property
    def progress(self) -> Progress:
        """Counts and times of the webhook."""
        return self.state.progress

    @progress.setter
    def progress(self, progress: Progress) -> None:
        """Note them. The cursor is written after enough changes."""
        self.state = replace(self.state, progress=progress)
        self._unsaved += 1

    async def begin(self, end: Position) -> None:
        """Read the state; a new webhook begins at `end`. Raises StoreError."""
        self.state = await self._store.begin(self.state.name, end, self._clock(), self._senders)
        self.aside = await self._store.waiting(self.state.name)
        self._forget()

    def _forget(self) -> None:
        self._handled.clear()
        self._failed.clear()
        self._done.clear()
        self._unsaved = 0
        self._synced_at = self._clock()

    def needs(self, position: Position) -> bool:
        """Whether an event is not handled yet."""
        return position not in self._handled

    def handle(self, position: Position, failure: Failure | None = None) -> None:
        """Note that an event was posted, or that its post failed."""
        self._handled.add(position)
        self._unsaved += 1
        if failure is not None:
            self._failed[position] = failure
            self.aside += 1 if failure.next_at else 0

    def retried(self, before: Failure, after: Failure | None) -> None:
        """Note that a failure was posted, or failed again."""
        self._unsaved += 1
        # If the store did not take the last note, the same failure was posted again.
        waited = before.position not in self._done and self._failed.get(before.position, before).next_at > 0
        waits = after is not None and after.next_at > 0
        self.aside += int(waits) - int(waited)
        self._done.discard(before.position)
        self._failed.pop(before.position, None)
        if after is None:
            self._done.add(before.position)
        else:
            self._failed[before.position] = after

    async def add(self, failures: Sequence[Failure]) -> None:
        """Write failures of a replay. Raises StoreError."""
        await self.sync()
        await self._store.add(self.state.name, failures)
        self.aside = await self._store.waiting(self.state.name)

    def advance(self, events: Iterable[StoredEvent], end: Position) -> None:
        """Move over the events of a page that are handled, up to the first one that is not, else to its end."""
        for one in events:
            if one.position not in self._handled:
                return
            self._handled.discard(one.position)
            self.state = replace(self.state, position=one.position)
        self.state = replace(self.state, position=max(end, self.state.position))
        self._unsaved += 1

    def current(self) -> None:
        """Note that nothing is left to post."""
        if self._clock() - self.state.current_at >= _CURRENT_EVERY:
            self.state = replace(self.state, current_at=self._clock())
            self._unsaved += 1

    def move(self, position: Position) -> None:
        """Go on from another position."""
        self.state = replace(self.state, position=position, current_at=self._clock())
        self._handled.clear()
        self._unsaved += 1

    async def move_replay(self, before: Replay, after: Replay | None) -> None:
        """Write how far a replay is. Raises StoreError."""
        await self._store.save_replay(self.state.name, before, after)
        self.state = replace(self.state, replay=after)

    @property
    def is_due(self) -> bool:
        """Whether it is time to write, or to read what operators changed."""
        elapsed = self._clock() - self._synced_at
        return self._unsaved >= SAVE_AFTER or not 0 <= elapsed < SAVE_EVERY

    async def sync(self) -> None:
        """Write what is new, or read what operators changed. Raises StoreError."""
        if self._unsaved:
            stored = await self._store.save(self.state, list(self._failed.values()), list(self._done))
        else:
            stored = await self._store.state(self.state.name)
        if stored is None or stored.resumes != self.state.resumes:
            await self.begin(self.state.position)
            return
        self._failed.clear()
        self._done.clear()
        self._unsaved = 0
        self._synced_at = self._clock()
        self.state = replace(self.state, paused_at=stored.paused_at, why=stored.why, replay=stored.replay)

    async def pause(self, why: str) -> None:
        """Write what is new, and pause the webhook. Raises StoreError."""
        await self.sync()
        await self._store.pause(self.state.name, self._clock(), why)
        await self.sync()
