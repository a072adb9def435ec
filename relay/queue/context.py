"""Dependencies of the queue parts, and the error boundary."""

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from relay.clock import Clock
from relay.config.settings import Settings
from relay.limits.ports import LimitStore
from relay.mail.reply import Reply
from relay.queue.bounce_policy import BouncePolicy
from relay.queue.outcome import Deferred
from relay.queue.ports import Delivery, DeliveryJournal, Publish, QueueObserver, QueueStore, Renderer
from relay.suppression.exclusion import Exclusion

STORE_RETRY = 1.0
"""Seconds between two tries of a store that is in trouble."""


@dataclass(frozen=True, slots=True)
class QueueContext:
    """What the runner works with."""

    settings: Callable[[], Settings]
    judge: Callable[[], BouncePolicy]
    store: QueueStore
    limits: LimitStore
    exclusion: Exclusion
    journal: DeliveryJournal
    delivery: Delivery
    renderer: Renderer
    clock: Clock
    steady: Clock
    """A clock that nobody can set; only its differences mean anything."""
    jitter: Callable[[], float]
    new_id: Callable[[float], str]
    publish: Publish
    watch: QueueObserver


INTERNAL_ERROR = Deferred(
    Reply(451, "4.3.0", "Internal error while delivering; it is in the log and will be tried again")
)
"""The outcome of a step that raised: the unknown is temporary."""


class ErrorBoundary:
    """A step for one message: `with Surviving(watch, queue_id): return answer`, and after it what holds without.

    Whatever the step raises is told to the watch and ends there; being cancelled is passed on.
    """

    __slots__ = ("_queue_id", "_watch")

    def __init__(self, watch: QueueObserver, queue_id: str) -> None:
        self._watch = watch
        self._queue_id = queue_id

    def __enter__(self) -> None:
        """Begin the step."""

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> bool:
        """Tell of an exception; return whether it ends here."""
        if not isinstance(error, Exception):
            return False
        self._watch.unexpected(self._queue_id, error)
        return True
