"""`relay identity verify` at a terminal: the code is asked for until it is right."""

import re
from pathlib import Path

from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink
from tests.servers.terminal import Terminal


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
