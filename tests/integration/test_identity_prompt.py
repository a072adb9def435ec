"""`relay identity verify` at a terminal: the code is asked for until it is right."""

import asyncio
import os
import pty
import re
import sys
from pathlib import Path

from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink
from tests.servers.waiting import PATIENCE


class Terminal:
    """A command at a terminal of its own."""

    def __init__(self, relay: RelayProcess, *arguments: str) -> None:
        self.arguments = (sys.executable, "-m", "relay.cli", *arguments, "-c", str(relay.config))
        self.said = ""

    async def __aenter__(self) -> "Terminal":
        self.ours, theirs = pty.openpty()
        self.process = await asyncio.create_subprocess_exec(
            *self.arguments, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
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


async def test_the_prompt_repeats_until_the_code_is_correct(tmp_path: Path) -> None:
    async with Sink() as mailbox, RelayProcess(tmp_path, mailbox.port) as relay:
        async with Terminal(relay, "identity", "verify", "owner@reader.test") as terminal:
            await terminal.until("The code (Enter alone if you used the link, q to skip)")
            (received,) = await mailbox.received(1)
            code = re.search(rb"Subject: (\d{6}) is", received.content)
            assert code is not None
            terminal.type("000000" if code[1] != b"000000" else "111111")
            await terminal.until("4 more tries")
            terminal.type("")
            await terminal.until("The code (")
            terminal.type(code[1].decode())
            await terminal.until("Address verified, ")
            assert await terminal.process.wait() == 0
        (listed,) = await relay.json("identity", "list")
        assert (listed["address"], listed["verified_by"]) == ("owner@reader.test", "mail")


async def test_q_skips_the_prompt_for_the_code(tmp_path: Path) -> None:
    async with (
        Sink() as mailbox,
        RelayProcess(tmp_path, mailbox.port) as relay,
        Terminal(relay, "identity", "verify", "owner@reader.test") as terminal,
    ):
        await terminal.until("q to skip)")
        terminal.type("q")
        assert await terminal.process.wait() == 75
