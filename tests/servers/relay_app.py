"""A whole relay in this process: its clock can be set, its parts asked, its log read as it is written."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import StringIO
from typing import Any
from unittest.mock import patch

from relay.app.relay import App
from relay.clock import system_clock
from relay.config import load
from relay.log import Line, Log
from tests.servers.relay_process import RelayProcess


class _Kept(Log):
    """A log whose lines are kept as they are."""

    def __init__(self, kept: list[Line]) -> None:
        super().__init__(StringIO(), "json")
        self._kept = kept

    def several(self, lines: Sequence[Line]) -> None:
        self._kept.extend(lines)


@dataclass(frozen=True, slots=True)
class Running:
    """The relay and what it logged: line and fields."""

    app: App
    log: list[Line]

    def lines(self, name: str) -> list[Mapping[str, Any]]:
        """Return the fields of the log lines of that name."""
        return [fields for line, fields in self.log if line == name]


@asynccontextmanager
async def running(relay: RelayProcess, clock: Callable[[], float] = system_clock) -> AsyncIterator[Running]:
    """Run the relay of that configuration; its commands work as beside a process of its own."""
    (relay.folder / "data").mkdir(exist_ok=True)
    log: list[Line] = []
    with patch("relay.app.relay.open_log", lambda *_: _Kept(log)):
        app = App(load(relay.config, {}), relay.config, clock=clock)
    await app.start()
    try:
        yield Running(app, log)
    finally:
        await app.stop()
