"""The receiver: one end of a socket pair, on which it speaks SMTP. No packet leaves the process."""

import asyncio
import socket
import ssl
from contextlib import suppress

from relay.simulator.conversation import Conversation
from relay.simulator.resources import Resources

MAX_LINE = 1 << 20
"""Octets of a line, at most."""


class Receiver:
    """Answers SMTP sessions."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, word: str) -> socket.socket:
        """Return the client's end of a new session for the lane of a word."""
        ours, theirs = socket.socketpair()
        for one in (ours, theirs):
            one.setblocking(False)
        task = asyncio.create_task(self._serve(word, theirs), name="simulator session")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return ours

    async def close(self) -> None:
        """End all sessions."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, word: str, end: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        opened: asyncio.Future[asyncio.StreamWriter] = loop.create_future()
        reader = asyncio.StreamReader(limit=MAX_LINE)

        def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            opened.set_result(writer)

        # With a callback the stream is that of a server, so that start_tls has the server's part.
        protocol = asyncio.StreamReaderProtocol(reader, connected)
        await loop.connect_accepted_socket(lambda: protocol, end)
        writer = await opened
        try:
            # The session ends when the client leaves, or sends what no client sends.
            with suppress(OSError, EOFError, ssl.SSLError, ValueError):
                await Conversation(self._resources, word, reader, writer).run()
        finally:
            writer.close()
