"""The receiving server: notes what it was given before it says 250, so that nothing it took can be forgotten.

    python -m tests.abuse.nodes.sink FILE

prints its port and serves until standard input ends. Each recipient of each message becomes a line of FILE: the proof
number, the queue id, the recipient, the From address, the time. The line is with the kernel before the reply leaves;
this process is killed by nobody.
"""

import asyncio
import os
import re
import sys
import time
from pathlib import Path

from tests.abuse.nodes.story import Note

PROOF = "X-Proof"

_PROOF = re.compile(rb"^X-Proof: (\S+)\r$", re.MULTILINE)

_FROM = re.compile(rb"^From: (\S+)\r$", re.MULTILINE)

_QUEUE_ID = re.compile(rb"^Received: .*\r\n(?:[ \t].*\r\n)*?.*\bid (\w+)", re.MULTILINE)

_PATH = re.compile(rb"<(.*?)>")


class Session(asyncio.Protocol):
    """One connection."""

    def __init__(self, notes: int) -> None:
        self._notes = notes
        self._buffer = bytearray()
        self._content = False
        self._recipients: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(b"220 sink.test ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        replies = bytearray()
        end_of = {True: b"\r\n.\r\n", False: b"\r\n"}
        while (end := self._buffer.find(end_of[self._content])) >= 0:
            piece = bytes(self._buffer[: end + 2])
            del self._buffer[: end + len(end_of[self._content])]
            replies += self._take(piece) if self._content else self._answer(piece)
        if replies:
            self._transport.write(replies)
            if replies.startswith(b"221"):
                self._transport.close()

    def _answer(self, command: bytes) -> bytes:
        match command[:4].upper():
            case b"EHLO":
                return b"250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 104857600\r\n"
            case b"MAIL":
                self._recipients = []
            case b"RCPT":
                found = _PATH.search(command)
                assert found is not None, command
                self._recipients.append(found[1])
            case b"DATA":
                self._content = True
                return b"354 Go ahead\r\n"
            case b"QUIT":
                return b"221 2.0.0 Bye\r\n"
        return b"250 2.0.0 Ok\r\n"

    def _take(self, content: bytes) -> bytes:
        self._content = False
        found = [pattern.search(content) for pattern in (_PROOF, _QUEUE_ID, _FROM)]
        proof, queue_id, sender = (one[1].decode() if one else "?" for one in found)
        now = time.time()
        lines = (Note(proof, queue_id, one.decode(), sender, now).line() for one in self._recipients)
        os.write(self._notes, "".join(lines).encode())
        return b"250 2.0.0 Ok\r\n"


async def main(file: Path) -> None:
    loop = asyncio.get_running_loop()
    notes = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    server = await loop.create_server(lambda: Session(notes), "127.0.0.1", 0, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
