"""A kept session is closed when it has been idle for its time, counted from the last time that it was kept."""

import asyncio
from typing import cast

from relay.delivery.idle_sessions import IdleKey, IdleSessions
from relay.delivery.session import Session

KEY = IdleKey("options", "site", "lane")


class Kept:
    """What the pool needs of a session."""

    def __init__(self) -> None:
        self.remote = "mx.reader.test"
        self.expiry: asyncio.TimerHandle | None = None
        self.idle_until = 0.0
        self.is_usable = True
        self.quits = 0

    def mark_idle(self) -> None:
        """Nothing to do."""

    async def quit(self) -> None:
        self.quits += 1


async def test_a_timer_of_an_earlier_rest_ends_no_later_one() -> None:
    pool, kept = IdleSessions(), Kept()
    session = cast(Session, kept)
    pool.put(KEY, session, 0.05)
    assert pool.take(KEY, ()) is session
    pool.put(KEY, session, 0.2)
    await asyncio.sleep(0.1)
    assert (len(pool), kept.quits) == (1, 0)
    await asyncio.sleep(0.2)
    assert (len(pool), kept.quits) == (0, 1)


async def test_a_shorter_rest_than_the_one_before_ends_at_its_own_time() -> None:
    pool, kept = IdleSessions(), Kept()
    session = cast(Session, kept)
    pool.put(KEY, session, 60)
    assert pool.take(KEY, ()) is session
    pool.put(KEY, session, 0.02)
    await asyncio.sleep(0.1)
    assert (len(pool), kept.quits) == (0, 1)


async def test_a_session_in_use_is_not_closed() -> None:
    pool, kept = IdleSessions(), Kept()
    pool.put(KEY, cast(Session, kept), 0.01)
    assert pool.take(KEY, ()) is not None
    await asyncio.sleep(0.05)
    assert kept.quits == 0
