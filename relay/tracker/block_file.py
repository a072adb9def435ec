"""The file of blocked links of a standalone tracker: one link, URL or host a line, as of `relay tracker list --plain`.

The file is read again when it changes, so that a copy of the list is in force within a second.
"""

from collections.abc import Callable
from pathlib import Path

from relay.log import Emit
from relay.tracker.link_blocks import Block, BlockError, BlockParser, LinkBlocks

BLOCK_FILE = "blocked-links"
"""Name of the file in data_dir."""

INTERVAL = 1.0
"""Seconds between two reads of the file."""

_UNREADABLE = (-1, -1, -1)


class BlockFile:
    """The blocks of a file. A line that names nothing is logged and left out; without a file nothing is blocked."""

    def __init__(self, path: Path, parser: Callable[[], BlockParser], log: Emit) -> None:
        self._path = path
        self._parser = parser
        self._log = log
        self._state: tuple[int, int, int] | None = None
        self.blocks = LinkBlocks()

    def read(self) -> None:
        """Read the file if it changed. A file that cannot be read changes nothing."""
        try:
            found = self._path.stat()
            state = found.st_mtime_ns, found.st_size, found.st_ino
            if state == self._state:
                return
            lines = self._path.read_text("utf-8", "replace").splitlines()
        except FileNotFoundError:
            state, lines = (0, 0, 0), []
            if self._state in (None, state):
                self._state = state
                return
        except OSError as error:
            if self._state != _UNREADABLE:
                self._log("links.file_unreadable", file=str(self._path), error=str(error))
            self._state = _UNREADABLE
            return

        blocks, faults = self._parsed(lines)
        self.blocks, self._state = LinkBlocks(blocks), state
        self._log("links.read", file=str(self._path), blocks=len(self.blocks), faults=faults)

    def _parsed(self, lines: list[str]) -> tuple[list[Block], list[str]]:
        parser = self._parser()
        blocks: list[Block] = []
        faults: list[str] = []
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.startswith("#"):
                continue
            try:
                blocks.append(parser.parse(line))
            except BlockError as error:
                faults.append(f"line {number}: {error}")
        return blocks, faults
