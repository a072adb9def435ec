"""The cursor of a webhook in memory."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from relay.events.ports import StoreError
from relay.webhooks.cursor import Cursor
from relay.webhooks.feed import Position
from relay.webhooks.ports import Failure, WebhookState
from relay.webhooks.progress import Progress

NOW = 1_800_000_000.0

FAILED = Failure(Position(0, 7), "evt_a", "message.open", "Q1", "a@x.test", NOW, NOW + 5, 1, 500)


class Store:
    """Keeps what was saved last, and fails on demand."""

    def __init__(self) -> None:
        self.fails = False
        self.failed: Sequence[Failure] = ()
        self.done: Sequence[Position] = ()

    async def begin(self, name: str, position: Position, _: float, senders: str = "") -> WebhookState:
        return WebhookState(name, position, Progress(), senders=senders)

    async def waiting(self, _: str) -> int:
        return 1

    async def save(
        self, state: WebhookState, failed: Sequence[Failure] = (), done: Sequence[Position] = ()
    ) -> WebhookState | None:
        if self.fails:
            raise StoreError("the disk is full")
        self.failed, self.done = failed, done
        return state


@pytest.mark.parametrize("first", [None, replace(FAILED, next_at=NOW + 300), replace(FAILED, next_at=0.0)])
@pytest.mark.parametrize("second", [None, replace(FAILED, next_at=NOW + 900), replace(FAILED, next_at=0.0)])
async def test_of_a_failure_that_is_posted_twice_the_last_outcome_counts(
    first: Failure | None, second: Failure | None
) -> None:
    store = Store()
    cursor = Cursor("crm", store, lambda: NOW)  # type: ignore[arg-type]
    await cursor.begin(Position())
    store.fails = True
    cursor.retried(FAILED, first)
    with pytest.raises(StoreError):
        await cursor.sync()

    store.fails = False
    cursor.retried(FAILED, second)
    await cursor.sync()
    assert (store.failed, store.done) == (([second], []) if second else ([], [FAILED.position]))
    assert cursor.aside == (1 if second and second.next_at else 0)
