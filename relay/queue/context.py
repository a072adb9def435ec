"""Dependencies of the queue parts, the error boundary, and the repetition of requests to the store."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

from relay.clock import Clock
from relay.config.settings import Settings
from relay.events.ports import Publish, StoreError
from relay.limits.ports import LimitStore
from relay.mail.reply import Reply
from relay.queue.bounce_policy import BouncePolicy
from relay.queue.message import ClaimedBatch
from relay.queue.node_ports import NodeStore, PauseStore, SiteStore
from relay.queue.outcome import Deferred
from relay.queue.ports import Delivery, DeliveryJournal, QueueAdminStore, QueueObserver, QueueStore, Renderer
from relay.queue.site_rates import SiteRates
from relay.suppression.exclusion import Exclusion

T = TypeVar("T")

STORE_RETRY = 1.0
"""Seconds between two requests to a store that fails."""


@dataclass(frozen=True, slots=True)
class QueueContext:
    """Dependencies of the queue parts."""

    settings: Callable[[], Settings]
    bounce_policy: Callable[[], BouncePolicy]
    store: QueueStore
    entries: QueueAdminStore
    pauses: PauseStore
    sites: SiteStore
    rates: SiteRates
    """The rates of the sites in use. Delivery asks them for connections."""
    provider_digest: Callable[[str], str]
    """Returns a keyed digest of the settings of a provider."""
    nodes: NodeStore
    limits: LimitStore
    exclusion: Exclusion
    journal: DeliveryJournal
    delivery: Delivery
    renderer: Renderer
    clock: Clock
    steady: Clock
    """Monotonic seconds: only differences have a meaning."""
    jitter: Callable[[], float]
    """Random numbers in [-1, 1]."""
    new_id: Callable[[float], str]
    publish: Publish
    watch: QueueObserver
    prove_sender: Callable[[ClaimedBatch], Awaitable[bool]]
    """Whether SPF or DKIM proves that the reverse-path of a submitted message is its sender's. Asks DNS."""


async def retry_store(context: QueueContext, request: Callable[[], Awaitable[T]]) -> T:
    """Return the result of a request to the store. A request that fails is repeated without limit."""
    while True:
        try:
            return await request()
        except StoreError as error:
            await pause_after(context, error)


async def pause_after(context: QueueContext, error: StoreError) -> None:
    """Report the failure of a request to the store, and wait before the next request."""
    context.watch.store_trouble(error)
    await pause()


async def pause() -> None:
    """Wait between two requests to the store."""
    await asyncio.sleep(STORE_RETRY)


INTERNAL_ERROR = Deferred(
    Reply(451, "4.3.0", "Internal error while delivering; it is in the log and will be tried again")
)
"""The outcome of a step that raised an unexpected exception: a temporary failure."""


class ErrorBoundary:
    """Reports an exception of one step for one message, and ends the step. A cancellation is passed on.

    Use: `with ErrorBoundary(watch, queue_id): return result`, followed by the fallback.
    """

    __slots__ = ("_queue_id", "_watch")

    def __init__(self, watch: QueueObserver, queue_id: str) -> None:
        self._watch = watch
        self._queue_id = queue_id

    def __enter__(self) -> None:
        """Begin the step."""

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> bool:
        """Report an exception. Return True to suppress it."""
        if not isinstance(error, Exception):
            return False
        self._watch.unexpected(self._queue_id, error)
        return True
