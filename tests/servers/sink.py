"""An SMTP server that keeps what it is given, and says or does the wrong thing when told to.

What it does is chosen by the moment: `greeting`, `EHLO`, `HELO`, `STARTTLS`, `AUTH`, `MAIL`, `RCPT`, `DATA`, `body`
(after 354, before reading), `.` (the final dot), `RSET`, `QUIT`. `sink.once("RCPT", Say("450 4.2.1 busy"))` is used up
by the next RCPT, `sink.always(...)` holds; else it behaves.

A relay also sends mail of its own, such as bounce messages, maybe between two mails of a test. `sink.once("RCPT
u@rcpt.test", ...)` is for this recipient alone, and comes before what was asked for at any RCPT.
"""

import asyncio
import ssl
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from tests.ports import free_port
from tests.servers.actions import Action, Dribble, Drop, Hang, Received, Reset, Say, Wait
from tests.servers.conversation import Closed, Conversation
from tests.servers.waiting import PATIENCE

__all__ = ["Action", "Dribble", "Drop", "Hang", "Received", "Reset", "Say", "Sink", "Wait"]


class Sink:
    """Listens at `address` (127.0.0.1) on `port`, chosen when it starts unless given.

    `extensions` are offered in EHLO; STARTTLS is added when there is a `tls` context, which `implicit` uses at once.
    """

    def __init__(
        self,
        *,
        extensions: Iterable[str] = ("PIPELINING", "8BITMIME", "SIZE 50000000", "ENHANCEDSTATUSCODES", "DSN"),
        tls: ssl.SSLContext | None = None,
        implicit: bool = False,
        address: str = "127.0.0.1",
        port: int = 0,
        name: str = "sink.test",
    ) -> None:
        self.extensions = tuple(extensions)
        self.tls = tls
        self.implicit = implicit
        self.address = address
        self.port = port
        self.name = name
        self.messages: list[Received] = []
        self.commands: list[str] = []
        self.violations: list[str] = []
        self.silent = asyncio.Event()
        """Set while it says nothing, at a `Hang` or a `Wait`."""
        self.tokens: set[str] | None = None
        """Access tokens that it accepts, for AUTH and as long as a session lasts; None for any."""
        self.connections = 0
        self.open = 0
        self.most_open = 0
        self._once: defaultdict[str, deque[Action]] = defaultdict(deque)
        self._always: dict[str, Action] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._arrived = asyncio.Event()

    async def __aenter__(self) -> Self:
        context = self.tls if self.implicit else None
        self.port = self.port or free_port()
        self._server = await asyncio.start_server(self._serve, self.address, self.port, ssl=context, limit=2**20)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        await self.end_sessions()
        await self._server.wait_closed()

    async def end_sessions(self) -> None:
        """Close all connections, also those that a client keeps for its next mail."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def once(self, moment: str, *actions: Action) -> None:
        """Do these the next times that moment comes."""
        self._once[moment].extend(actions)

    def always(self, moment: str, action: Action) -> None:
        """Do this whenever that moment comes."""
        self._always[moment] = action

    def behave(self) -> None:
        """Forget all misbehaviour asked for."""
        self._once.clear()
        self._always.clear()

    async def received(self, count: int) -> list[Received]:
        """Return the messages once there are so many."""
        await self._until(lambda: len(self.messages) >= count)
        return self.messages

    async def received_by(self, address: str) -> Received:
        """Return the last message to an address, once there is one."""

        def found() -> list[Received]:
            return [one for one in self.messages if address in one.recipients]

        await self._until(lambda: bool(found()))
        return found()[-1]

    async def _until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not holds():
                self._arrived.clear()
                await self._arrived.wait()

    def said(self, verb: str) -> list[str]:
        """Return the commands received that begin with this verb."""
        return [line for line in self.commands if line.upper().startswith(verb.upper())]

    def action(self, moment: str) -> Action | None:
        """Return what to do at this moment, which may name a recipient behind its verb, None to behave."""
        for name in dict.fromkeys((moment, moment.partition(" ")[0])):
            if waiting := self._once.get(name):
                return waiting.popleft()
            if name in self._always:
                return self._always[name]
        return None

    def keep(self, message: Received) -> None:
        """Keep a message that was received whole."""
        self.messages.append(message)
        self._arrived.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await Conversation(self, self.connections, reader, writer).run()
        except (Closed, OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self.open -= 1
            self._tasks.discard(task)
            writer.close()
