"""The store of webhooks that this package requires."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from relay.webhooks.feed import Position
from relay.webhooks.progress import Progress, Replay

PAUSED_BY_OPERATOR = "paused by the operator"
"""Why a webhook posts nothing. An application does not end this pause."""


@dataclass(frozen=True, slots=True)
class WebhookState:
    """What is stored of a webhook. All events up to `position` are posted, refused, or kept as failures."""

    name: str
    position: Position
    progress: Progress
    current_at: float = 0.0
    """Unix time at which it had posted all events, last."""
    paused_at: float = 0.0
    """Unix time at which it was paused, 0 if it is not."""
    why: str = ""
    """Why it is paused."""
    replay: Replay | None = None
    """Events that are posted again."""
    resumes: int = 0
    """How often an operator resumed it. What was computed before a resume is not written after it."""
    senders: str = ""
    """Digest of its domains and identities, "" if they are unknown."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An event whose post failed: tried again at `next_at`, or given up if that is 0. `status` 0: no answer."""

    position: Position
    event_id: str
    type: str
    queue_id: str
    recipient: str
    first_at: float
    next_at: float
    attempts: int
    status: int = 0
    answer: str = ""


class WebhookStore(Protocol):
    """Stores cursors and failures. All methods raise StoreError."""

    async def states(self) -> Sequence[WebhookState]:
        """Return all webhooks that were ever configured and are not forgotten, by name."""

    async def begin(self, name: str, position: Position, now: float, senders: str = "") -> WebhookState:
        """Return the state of a webhook; a new one begins at this position.

        If `senders` are others than before, it is cleared. With "" they are not compared.
        """

    async def clear(self, name: str) -> None:
        """Delete failures, progress and replay of a webhook, and its pause unless an operator made it."""

    async def state(self, name: str) -> WebhookState | None:
        """Return the state of a webhook, None if it is unknown."""

    async def save(
        self, state: WebhookState, failed: Sequence[Failure] = (), done: Sequence[Position] = ()
    ) -> WebhookState | None:
        """Write position, progress and time; add or change failures, and delete those that are done.

        Return the state that is stored now, None if the webhook is forgotten. Its pauses and replays are those of
        operators. After a resume that `state` does not include, nothing is written.
        """

    async def save_replay(self, name: str, before: Replay, after: Replay | None) -> None:
        """Write how far a replay is, None at its end, unless an operator began another."""

    async def pause(self, name: str, now: float, why: str) -> bool:
        """Pause a webhook. False if it is unknown or paused already."""

    async def resume(self, name: str, position: Position | None = None) -> bool:
        """End a pause and all waits, at another position if one is given. False if it is unknown."""

    async def replay(self, name: str, replay: Replay) -> None:
        """Begin to post events again."""

    async def due(self, name: str, now: float, limit: int) -> Sequence[Failure]:
        """Return failures that are tried again at this time, oldest first."""

    async def failures(self, name: str, limit: int) -> Sequence[Failure]:
        """Return the newest failures."""

    async def retry_all(self, name: str, now: float) -> int:
        """Make all failures due, also those given up; return their number."""

    async def add(self, name: str, failures: Sequence[Failure]) -> None:
        """Add failures, to be posted again."""

    async def waiting(self, name: str) -> int:
        """Return the number of failures that are tried again."""

    async def forget(self, kept: Sequence[str], unused_since: float, failed_before: float) -> None:
        """Delete webhooks that are not `kept` and were not used since a time, and failures given up before another."""
