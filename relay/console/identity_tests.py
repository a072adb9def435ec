"""Tests of identities in the background: a step waits for mail, which takes longer than a page may."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress

from relay.events.ports import StoreError
from relay.reports.serialize import JsonObject
from relay.verification.model import TestStep
from relay.verification.verifier import Verifier

SETUP: Sequence[TestStep] = ("sending", "tracking", "receiving")
"""Steps of a whole test. The one that sends a code is last: its mail is read then, and the code typed in."""

MAX_RESULTS = 1000
"""Identities whose last results are kept, at most."""


class IdentityTests:
    """Runs steps of the test, one test of an identity at a time, and keeps their remarks."""

    def __init__(self, verifier: Verifier) -> None:
        self.verifier = verifier
        self._running: dict[str, asyncio.Task[None]] = {}
        self._results: dict[str, dict[str, JsonObject]] = {}

    def start(self, address: str, steps: Sequence[TestStep]) -> None:
        """Run steps one after another, unless a test of this identity is running."""
        if not self.is_running(address):
            self._running[address] = asyncio.create_task(self._run(address, steps))

    def is_running(self, address: str) -> bool:
        """Whether a test of this identity is running."""
        found = self._running.get(address)
        return found is not None and not found.done()

    def results(self, address: str) -> Mapping[str, JsonObject]:
        """Return the last result of each step since the start, with its remarks."""
        return self._results.get(address, {})

    def keep(self, address: str, result: JsonObject) -> None:
        """Keep the result of a step."""
        self._results.setdefault(address, {})[str(result["step"])] = result
        if len(self._results) > MAX_RESULTS:
            del self._results[next(iter(self._results))]

    async def close(self) -> None:
        """End the tests in progress."""
        for task in tuple(self._running.values()):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self, address: str, steps: Sequence[TestStep]) -> None:
        try:
            for step in steps:
                self.keep(address, await self.verifier.run(address, step))
        except StoreError as error:
            remark = {"status": "wrong", "text": f"the test ended early: {error}", "fix": "relay status"}
            self.keep(address, {"step": "sending", "state": "failed", "remarks": [remark]})
        finally:
            self._running.pop(address, None)
