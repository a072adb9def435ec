"""A receiving server that takes everything and counts: `python -m bench.sink PORT`.

Each line on standard input is answered with the counts so far, as a line of JSON; "reset" begins anew.
"""

import asyncio
import json
import re
import sys
import time
from typing import Any, cast

import uvloop

from bench.workloads import TRACKER

_ID = re.compile(rb"^X-Bench: (\d{32})\r$", re.MULTILINE)

_TRACKER_HOST = TRACKER.partition("//")[2].encode()


class Counts:
    """What arrived."""

    def __init__(self) -> None:
        self.ids: set[bytes] = set()
        self.taken = 0
        self.foreign = 0
        self.signed = 0
        self.tracked = 0
        self.last = 0.0
        self.delays: list[float] = []

    def take(self, content: bytes) -> None:
        """Count one message. Its id begins with the time it was sent: microseconds of the monotonic clock."""
        self.taken += 1
        self.last = time.monotonic()
        found = _ID.search(content)
        if found is None:
            self.foreign += 1
            return
        self.ids.add(found[1])
        self.delays.append(self.last - int(found[1][:16]) / 1e6)
        self.signed += b"DKIM-Signature:" in content
        self.tracked += _TRACKER_HOST in content

    def told(self) -> dict[str, Any]:
        """Return the counts."""
        return {
            "taken": self.taken,
            "foreign": self.foreign,
            "unique": len(self.ids),
            "signed": self.signed,
            "tracked": self.tracked,
            "last": self.last,
            "delays": sorted(self.delays),
        }


class Session(asyncio.Protocol):
    """One connection."""

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._buffer = bytearray()
        self._content = False
        self._leaving = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # That of uvloop is of no class of asyncio.
        self._transport.write(b"220 sink.bench ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        replies = []
        while True:
            if self._content:
                end = self._buffer.find(b"\r\n.\r\n")
                if end < 0:
                    break
                self._server.counts.take(bytes(self._buffer[:end]))
                del self._buffer[: end + 5]
                self._content = False
                replies.append(b"250 2.0.0 Ok\r\n")
                continue
            end = self._buffer.find(b"\n")
            if end < 0:
                break
            verb = bytes(self._buffer[:4]).upper()
            del self._buffer[: end + 1]
            replies.append(self._answer(verb))
        if replies:
            self._transport.write(b"".join(replies))
        if self._leaving:
            self._transport.close()

    def _answer(self, verb: bytes) -> bytes:
        match verb:
            case b"EHLO":
                return b"250-sink.bench\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 104857600\r\n"
            case b"DATA":
                self._content = True
                return b"354 Go ahead\r\n"
            case b"QUIT":
                self._leaving = True
                return b"221 2.0.0 Bye\r\n"
            case _:
                return b"250 2.0.0 Ok\r\n"


class Server:
    """The sink and its counts."""

    def __init__(self) -> None:
        self.counts = Counts()

    async def run(self, port: int) -> None:
        """Serve until standard input ends."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Session(self), "127.0.0.1", port, backlog=1024)
        commands = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
        while line := await commands.readline():
            print(json.dumps(self.counts.told()), flush=True)
            if line.strip() == b"reset":
                self.counts = Counts()
        server.close()


if __name__ == "__main__":
    uvloop.run(Server().run(int(sys.argv[1])))
