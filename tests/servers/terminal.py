"""A command of relay at a terminal, for prompts."""

import asyncio
import os
import pty

from tests.servers import forked
from tests.servers.relay_process import RelayProcess
from tests.servers.waiting import PATIENCE


class Terminal:
    """A command at a terminal of its own."""

    def __init__(self, relay: RelayProcess, *arguments: str) -> None:
        self.arguments = (*arguments, "-c", str(relay.config))
        self.said = ""

    async def __aenter__(self) -> "Terminal":
        self.ours, theirs = pty.openpty()
        self.process = await forked.start(*self.arguments, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        os.close(self.ours)

    async def until(self, text: str) -> str:
        """Return what was said since the last time, once it has this text."""
        start = len(self.said)
        async with asyncio.timeout(PATIENCE):
            while text not in self.said[start:]:
                try:
                    self.said += (await asyncio.to_thread(os.read, self.ours, 4096)).decode()
                except OSError:  # The other side is closed.
                    break
        assert text in self.said[start:], self.said
        return self.said[start:]

    def type(self, text: str) -> None:
        os.write(self.ours, f"{text}\n".encode())
