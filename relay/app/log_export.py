"""Posts log lines to a collector by OTLP over HTTP. The log itself never waits for it."""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import aiohttp

from relay import __version__
from relay.clock import Clock, system_clock
from relay.log import Emit, Line
from relay.log.lines import level_of
from relay.log.otlp import export_request, log_record

MAX_WAITING = 20_000
"""Lines that wait for the collector, at most. The oldest are dropped, and counted."""

BATCH = 1_000
"""Lines of one request, at most."""

INTERVAL = 1.0
"""Seconds between two requests, at least."""

TIMEOUT = 10.0
"""Seconds that a request may take."""

MAX_WAIT = 60.0
"""Seconds between two attempts after failures, at most."""

_AGAIN = frozenset({429, 502, 503, 504})
"""Statuses after which a request is repeated (OTLP, "Retryable response codes")."""


class LogExporter:
    """Keeps lines, and posts them again and again. `add` is called for each batch of lines that are written."""

    def __init__(
        self, url: str, headers: Mapping[str, str], hostname: str, log: Emit, clock: Clock = system_clock
    ) -> None:
        self._url = url
        self._headers = {**headers, "Content-Type": "application/json"}
        self._hostname = hostname
        self._log = log
        self._clock = clock
        self._waiting: deque[dict[str, Any]] = deque()
        self._dropped = 0
        self._failing = False

    def add(self, lines: Sequence[Line]) -> None:
        """Keep lines until they are posted. Neither waits nor raises."""
        now = self._clock()
        self._waiting.extend(log_record(name, level_of(name), fields, now) for name, fields in lines)
        while len(self._waiting) > MAX_WAITING:
            self._waiting.popleft()
            self._dropped += 1

    async def run(self) -> None:
        """Post until cancelled. What waits then is posted once more."""
        wait = INTERVAL
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(TIMEOUT)) as client:
            try:
                while True:
                    await asyncio.sleep(wait)
                    posted = await self._post_all(client)
                    wait = INTERVAL if posted else min(2 * wait, MAX_WAIT)
            finally:
                with suppress(TimeoutError):
                    async with asyncio.timeout(TIMEOUT / 2):
                        await self._post_all(client)

    async def _post_all(self, client: aiohttp.ClientSession) -> bool:
        """Post what waits; return whether the collector answers."""
        while self._waiting:
            batch = [self._waiting[at] for at in range(min(BATCH, len(self._waiting)))]
            fault, again = await self._post(client, batch)
            if fault and not self._failing:
                self._failing = True
                self._log("log.export_failing", error=fault)
            if again:
                return False
            if fault:
                self._dropped += len(batch)
            self._forget(batch)
            if not fault and self._failing:
                self._failing = False
                self._log("log.export_recovered", lines=self._dropped)
                self._dropped = 0
        return True

    async def _post(self, client: aiohttp.ClientSession, batch: Sequence[Mapping[str, Any]]) -> tuple[str, bool]:
        """Post a batch; return the fault, "" without one, and whether it is to be posted again."""
        body = export_request(batch, self._hostname, __version__)
        try:
            async with client.post(self._url, data=body, headers=self._headers, allow_redirects=False) as answer:
                if 200 <= answer.status < 300:
                    return "", False
                return f"{answer.status} {answer.reason or ''}".strip(), answer.status in _AGAIN
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return str(error) or type(error).__name__, True

    def _forget(self, batch: Sequence[Mapping[str, Any]]) -> None:
        """Remove a batch that was posted, except lines that were dropped meanwhile."""
        posted = {id(one) for one in batch}
        while self._waiting and id(self._waiting[0]) in posted:
            self._waiting.popleft()
