"""Runs a coroutine in the event loop of the relay."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import uvloop


def run(session: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(session)
