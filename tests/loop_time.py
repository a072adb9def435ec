"""A time of the event loop for tests of timers: nothing is slept."""

import asyncio

import pytest


class LoopTime:
    """The time of the event loop, which passes only on demand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        self._now = loop.time()
        monkeypatch.setattr(loop, "time", lambda: self._now)

    async def pass_by(self, seconds: float) -> None:
        """Run what is ready, let the time pass, and run what is due then."""
        for step in (0.0, seconds):
            self._now += step
            for _ in range(5):
                await asyncio.sleep(0)
