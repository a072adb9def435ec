"""The express lane: commonplace requests for pixels, answered without aiohttp's tasks, parsers and request objects.

They are answered in rounds. What came in one turn of the event loop is one round, so that the answers go out together;
and when something has the right of way, the next round waits a moment, and with it all who asked meanwhile.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from relay.tracker.commonplace import Fetch, commonplace

ROUND = 64
"""Requests answered in one turn of the loop at most: about a millisecond, in which nothing else runs."""

Answer = Callable[[Fetch, str], bytes | None]
"""Answers a request of that client; None leaves it to aiohttp."""

RightOfWay = Callable[[], float]
"""Returns for how many seconds the next round waits, because something else has the right of way; 0 mostly."""


class Asking(Protocol):
    """A connection whose request is in the lane."""

    client: str
    asked: bytes
    """The request; empty when it has left the lane meanwhile."""

    def settle(self, answer: bytes | None) -> None:
        """Send the answer; without one, have the request read by aiohttp."""


class ExpressLane:
    """Answers the commonplace requests of all connections of one server."""

    def __init__(self, answer: Answer, right_of_way: RightOfWay) -> None:
        self._answer = answer
        self._right_of_way = right_of_way
        self._waiting: deque[tuple[Asking, Fetch]] = deque()
        self._loop = asyncio.get_running_loop()

    def take(self, asking: Asking, data: bytes) -> bool:
        """Take octets that are one commonplace request, to be settled soon; False when they are anything else."""
        fetch = commonplace(data)
        if fetch is None:
            return False
        self._waiting.append((asking, fetch))
        if len(self._waiting) == 1:
            self._next_round()
        return True

    def close(self) -> None:
        """Answer all that wait."""
        while self._waiting:
            self._answer_some()

    def _next_round(self) -> None:
        wait = self._right_of_way()
        if wait:
            self._loop.call_later(wait, self._round)
        else:
            self._loop.call_soon(self._round)

    def _round(self) -> None:
        self._answer_some()
        if self._waiting:
            self._next_round()

    def _answer_some(self) -> None:
        """Answer the first of those that wait: all of them first, then send, which wakes the other side once."""
        taken = [self._waiting.popleft() for _ in range(min(ROUND, len(self._waiting)))]
        some = [(asking, fetch) for asking, fetch in taken if asking.asked]
        answers = [self._answer(fetch, asking.client) for asking, fetch in some]
        for (asking, _), answer in zip(some, answers, strict=True):
            asking.settle(answer)
