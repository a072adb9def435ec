"""A program of others in the foreground, which listens on loopback until the end of a block."""

import asyncio
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.documentation import ROOT
from tests.ports import free_port
from tests.servers.waiting import until

PATH = f"/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:{ROOT / '.venv-packages' / 'bin'}"

_LISTENS = "0A"
"""State of a listening socket in /proc/net/tcp (proc_net(5))."""


class LocalProgram:
    """The program `name`, which listens at `port`. Without it the test is skipped."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.port = free_port()

    def options(self) -> Sequence[str]:
        """Write its files and return its options."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        program = shutil.which(self.name, path=PATH)
        if program is None:
            pytest.skip(f"needs {self.name}")
        environment = {"HOME": str(self.folder), "PATH": os.environ["PATH"]}
        self._process = await asyncio.create_subprocess_exec(program, *self.options(), env=environment)
        await until(self._is_listening)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        await self._process.wait()

    def _is_listening(self) -> bool:
        assert self._process.returncode is None, f"{self.name} has ended"
        tables = "".join(Path(f"/proc/net/{one}").read_text(encoding="ascii") for one in ("tcp", "tcp6"))
        return any(f":{self.port:04X} " in line and f" {_LISTENS} " in line for line in tables.splitlines())

    def written(self, name: str, text: str) -> str:
        """Write a file of the program and return its name."""
        file = self.folder / name
        file.write_text(text, encoding="utf-8")
        return str(file)
