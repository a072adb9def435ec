"""A state machine of hypothesis on an empty store: SQLite in a folder of its own, or the tables of a PostgreSQL."""

import asyncio
import tempfile
from pathlib import Path

from hypothesis.stateful import RuleBasedStateMachine

from tests.servers.postgres import delete_rows


class StoreMachine(RuleBasedStateMachine):
    """Has a folder and an event loop. Its subclasses open the store, and call `close` when theirs is closed."""

    url = ""
    """The URL of a PostgreSQL database; empty for SQLite."""

    def __init__(self) -> None:
        super().__init__()
        if self.url:
            delete_rows(self.url)
        self.runner = asyncio.Runner()
        self._folder = tempfile.TemporaryDirectory()
        self.folder = Path(self._folder.name)

    def close(self) -> None:
        """End the event loop, and remove the folder."""
        self.runner.close()
        self._folder.cleanup()
