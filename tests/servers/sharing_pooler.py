"""A pooler in transaction mode that passes on the process number of the server, as PgBouncer does not.

It hands a server connection to a client for one transaction, by one of several rules.
"""

import asyncio
import struct
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

Server = tuple[asyncio.StreamReader, asyncio.StreamWriter]

Rule = Callable[[list[Server], Server | None], Server]
"""Takes one of the free connections; the second value is the one that the client used last."""


def used_last(free: list[Server], last: Server | None) -> Server:
    if last is not None and last in free:
        free.remove(last)
        return last
    return free.pop()


RULES: dict[str, Rule] = {
    "freed last": lambda free, _: free.pop(),
    "freed first": lambda free, _: free.pop(0),
    "used last": used_last,
}

_NO_TLS = (80877103, 80877104)


class SharingPooler:
    """One running pooler in the event loop of the test, with two connections to the socket of a server."""

    def __init__(self, path: str, rule: str) -> None:
        self.port = 0
        self._path = path
        self._rule = RULES[rule]
        self._free: list[Server] = []
        self._made: list[Server] = []
        self._startup = b""
        self._freed = asyncio.Condition()
        self._serving: set[asyncio.Task[None]] = set()
        self._listening: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._listening = await asyncio.start_server(self._begin, "127.0.0.1", 0)
        self.port = self._listening.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._listening is not None
        self._listening.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        for _, writer in self._made:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving.add(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            startup = await _startup(reader, writer)
            server = await self._take(startup, None)
            writer.write(self._startup)
            await self._give(server)
            await self._transactions(reader, writer, startup, server)
        except (asyncio.IncompleteReadError, OSError):
            return
        finally:
            writer.close()

    async def _transactions(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, startup: bytes, last: Server
    ) -> None:
        server: Server | None = None
        while (message := await _message(reader))[:1] != b"X":
            if server is None:
                server = last = await self._take(startup, last)
            server[1].write(message)
            if message[:1] not in (b"Q", b"S"):
                continue
            while (answer := await _message(server[0]))[:1] != b"Z":
                writer.write(answer)
            writer.write(answer)
            if answer[-1:] == b"I":
                await self._give(server)
                server = None

    async def _take(self, startup: bytes, last: Server | None) -> Server:
        async with self._freed:
            while True:
                if self._free:
                    return self._rule(self._free, last)
                if len(self._made) < 2:
                    self._made.append(await self._open(startup))
                    return self._made[-1]
                await self._freed.wait()

    async def _give(self, server: Server) -> None:
        async with self._freed:
            self._free.append(server)
            self._freed.notify()

    async def _open(self, startup: bytes) -> Server:
        reader, writer = await asyncio.open_unix_connection(self._path)
        writer.write(startup)
        answers = [await _message(reader)]
        while answers[-1][:1] != b"Z":
            answers.append(await _message(reader))
        self._startup = b"".join(answers)
        return reader, writer


async def _startup(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    while True:
        length = await reader.readexactly(4)
        content = await reader.readexactly(int.from_bytes(length) - 4)
        if struct.unpack("!I", content[:4])[0] not in _NO_TLS:
            return length + content
        writer.write(b"N")


async def _message(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(5)
    return head + await reader.readexactly(int.from_bytes(head[1:]) - 4)
