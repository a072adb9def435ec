"""Receiving hosts that hold on to whoever delivers to them, each at an address of its own."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Self

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept the connection, and say nothing."""
    del writer
    await reader.read()


async def stops_reading(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say yes to everything, and take nothing of the content."""
    writer.write(b"220 hostile.test ESMTP\r\n")
    while line := await reader.readline():
        if line.upper().startswith(b"DATA"):
            writer.write(b"354 go ahead\r\n")
            await asyncio.Event().wait()
        writer.write(b"250 2.0.0 ok\r\n")


async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each command octet by octet, and take the content as slowly."""
    await _drip(writer, b"220 hostile.test ESMTP\r\n")
    while line := await reader.readline():
        is_data = line.upper().startswith(b"DATA")
        await _drip(writer, b"354 go ahead\r\n" if is_data else b"250 2.0.0 ok\r\n")
        while is_data and await reader.read(1):
            await asyncio.sleep(1)


async def _drip(writer: asyncio.StreamWriter, text: bytes) -> None:
    for place in range(len(text)):
        writer.write(text[place : place + 1])
        await asyncio.sleep(0.5)


class HostileHosts:
    """Hosts at these addresses and one port, which behave alike."""

    def __init__(self, addresses: Sequence[str], port: int, serve: Serve) -> None:
        self._addresses = addresses
        self._port = port
        self._behaviour = serve
        self._tasks: set[asyncio.Task[None]] = set()
        self.open = 0
        self.most_open = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self._addresses, self._port, limit=2**16)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await self._behaviour(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self.open -= 1
            self._tasks.discard(task)
            writer.close()
