"""What the parts of the queue work with, handed to them by whoever builds the program."""

from collections.abc import Callable
from dataclasses import dataclass

from relay.clock import Clock
from relay.config.settings import Settings
from relay.queue.judge import Judge
from relay.queue.ports import Delivery, DeliveryJournal, LimitStore, Publish, QueueStore, Renderer, Watch
from relay.suppression.exclusion import Exclusion

STORE_RETRY = 1.0
"""Seconds between two tries of a store that is in trouble."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What the runner works with."""

    settings: Callable[[], Settings]
    judge: Callable[[], Judge]
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
    watch: Watch
