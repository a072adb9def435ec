"""A kept session is closed when it has been idle for its time, counted from the last time that it was kept."""

import asyncio
from typing import cast

import pytest

from relay.delivery.idle_sessions import IdleKey, IdleSessions
from relay.delivery.session import Session
from tests.loop_time import LoopTime

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


@pytest.mark.parametrize(("first", "second"), [(5.0, 20.0), (60.0, 2.0), (10.0, 10.0)])
async def test_the_last_idle_time_counts(first: float, second: float, monkeypatch: pytest.MonkeyPatch) -> None:
    time, pool, kept = LoopTime(monkeypatch), IdleSessions(), Kept()
    session = cast(Session, kept)
    pool.put(KEY, session, first)
    await time.pass_by(1.0)
    assert pool.take(KEY, ()) is session
    pool.put(KEY, session, second)

    await time.pass_by(second - 0.1)
    assert (len(pool), kept.quits) == (1, 0)
    await time.pass_by(0.2)
    assert (len(pool), kept.quits) == (0, 1)


async def test_a_session_in_use_is_not_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    time, pool, kept = LoopTime(monkeypatch), IdleSessions(), Kept()
    pool.put(KEY, cast(Session, kept), 10.0)
    assert pool.take(KEY, ()) is not None
    await time.pass_by(60.0)
    assert kept.quits == 0
