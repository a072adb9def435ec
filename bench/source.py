"""A load source: `python -m bench.source '{"port": …, "workload": "W2", "sessions": 20, "messages": 1000, …}'`.

Prints one line of JSON: the times of the first connection and the last 250, and the seconds each final reply took.
`per_connection` messages go through one connection, 0 for all; `rate` messages a second, 0 for as fast as it goes.
"""

import asyncio
import json
import sys
import time
from typing import Any

import uvloop

from bench.workloads import FROM, message, workload


class Client:
    """Sends from a common supply of messages over one connection after another."""

    def __init__(self, source: "Source") -> None:
        self._source = source

    async def run(self) -> None:
        """Send until nothing is left."""
        while self._source.left > 0:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._source.port, limit=1 << 20)
            await reader.readline()
            await say(reader, writer, b"EHLO source.bench\r\n")
            sent = 0
            while self._source.left > 0 and sent != (self._source.per_connection or -1):
                self._source.left -= 1
                await self._source.turn()
                await self._send(reader, writer)
                sent += 1
            await say(reader, writer, b"QUIT\r\n")
            writer.close()

    async def _send(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        begun = time.monotonic()
        content = message(self._source.template, f"{int(begun * 1e6):016d}{self._source.serial():016d}")
        await say(reader, writer, b"MAIL FROM:<%s>\r\n" % FROM.encode())
        await say(reader, writer, b"RCPT TO:<reader%d@rcpt.bench>\r\n" % self._source.number)
        await say(reader, writer, b"DATA\r\n")
        writer.write(content)
        asked = time.monotonic()
        await say(reader, writer, b".\r\n")
        self._source.waits.append(time.monotonic() - asked)
        self._source.last = time.monotonic()


async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, command: bytes) -> None:
    """Send a command, or several octets that end one, and wait for the reply. A refusal ends the program."""
    writer.write(command)
    line = await reader.readline()
    while line[3:4] == b"-":
        line = await reader.readline()
    if line[:1] not in (b"2", b"3"):
        raise SystemExit(f"{command[:40]!r} was answered {line!r}")


class Source:
    """The supply, and what was measured."""

    def __init__(self, *, port: int, workload_name: str, messages: int, per_connection: int, rate: float) -> None:
        self.port = port
        self.template = workload(workload_name)
        self.left = messages
        self.per_connection = per_connection
        self.number = 0
        self.waits: list[float] = []
        self.last = 0.0
        self._rate = rate
        self._next = 0.0

    def serial(self) -> int:
        """Return the number of the next message."""
        self.number += 1
        return self.number

    async def turn(self) -> None:
        """Wait until the rate allows one more message."""
        if self._rate:
            now = time.monotonic()
            self._next = max(self._next, now) + 1 / self._rate
            await asyncio.sleep(self._next - 1 / self._rate - now)


async def run(plan: dict[str, Any]) -> None:
    """Carry the plan out."""
    source = Source(
        port=plan["port"],
        workload_name=plan["workload"],
        messages=plan["messages"],
        per_connection=plan.get("per_connection", 0),
        rate=plan.get("rate", 0),
    )
    first = time.monotonic()
    await asyncio.gather(*(Client(source).run() for _ in range(plan["sessions"])))
    print(json.dumps({"first": first, "last": source.last, "waits": sorted(source.waits)}))


if __name__ == "__main__":
    uvloop.run(run(json.loads(sys.argv[1])))
