"""What follows a mail that the receiver accepted: mail that comes back, and requests to the tracker.

Each reaction waits in memory. The end of the process ends those that wait.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from secrets import token_hex
from typing import assert_never

from relay.clock import Clock
from relay.events.ports import StoreError
from relay.log import Emit
from relay.mail.reply import Reply
from relay.mail.simulator_words import Reaction
from relay.mail.transaction import Envelope, Recipient, Session, Transaction
from relay.simulator.answering_mail import AnsweringMail, automatic_answer, complaint, late_bounce, persons_answer
from relay.simulator.resources import Accepted
from relay.simulator.visits import Links, Visit, clicked, links_in, opened, prefetched, scanned, unsubscribed

DELAYS: Mapping[Reaction, float] = {
    "late-bounce": 5.0,
    "ooto": 5.0,
    "reply": 5.0,
    "complaint": 5.0,
    "open": 30.0,
    "click": 30.0,
    "unsubscribe": 30.0,
    "scanner": 1.0,
    "mpp": 5.0,
}
"""Seconds from the acceptance to the reaction."""

MAX_WAITING = 10_000
"""Reactions that wait, at most. A further one does not happen, and is logged."""

_LOCAL = "127.0.0.1"

Take = Callable[[Transaction], Awaitable[Reply]]
"""Takes a mail as an inbound listener does. Raises StoreError."""

Ask = Callable[[bytes], Awaitable[int]]
"""Sends a request to the tracker, and returns the status. Raises OSError."""


class Reactions:
    """Carries out reactions. `name` is the domain of the simulator, `span` the length of a time at its speed."""

    def __init__(
        self, name: Callable[[], str], span: Callable[[float], float], clock: Clock, take: Take, ask: Ask, log: Emit
    ) -> None:
        self._name = name
        self._span = span
        self._clock = clock
        self._take = take
        self._ask = ask
        self._log = log
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, accepted: Accepted) -> None:
        """Begin a reaction, which comes later."""
        if len(self._tasks) >= MAX_WAITING:
            self._failed(accepted, f"{MAX_WAITING} reactions wait already")
            return
        task = asyncio.create_task(self._react(accepted), name="simulator reaction")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End the reactions that wait."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _react(self, accepted: Accepted) -> None:
        await asyncio.sleep(self._span(DELAYS[accepted.reaction]))
        try:
            found = _made(accepted, self._name(), self._clock(), token_hex(8))
            why = await self._return(found) if isinstance(found, AnsweringMail) else await self._visit(found)
        except (StoreError, OSError, TimeoutError) as error:
            why = str(error)
        if why:
            self._failed(accepted, why)

    async def _return(self, mail: AnsweringMail) -> str:
        """Give a mail to the relay as its sender would. Return why that was not possible, "" if it was."""
        if not mail.to:
            return "the mail has a null reverse-path"
        session = Session("simulator", "inbound", _LOCAL, self._name(), extended=True)
        smtputf8 = not (mail.to.isascii() and mail.reverse_path.isascii())
        envelope = Envelope(mail.reverse_path, (Recipient(mail.to),), "8BITMIME", smtputf8)
        reply = await self._take(Transaction(session, envelope, mail.content))
        return "" if reply.is_positive else f"<{mail.to}>: {reply}"

    async def _visit(self, visits: Sequence[Visit]) -> str:
        if not visits:
            return "the mail has no such link: its tracking is off, or it has no link"
        for one in visits:
            status = await self._ask(one.encode())
            if status >= 400:
                return f"{one.method} {one.path[:20]}: status {status}"
        return ""

    def _failed(self, accepted: Accepted, why: str) -> None:
        self._log("simulator.failed", word=accepted.reaction, recipient=accepted.recipient, reason=why)


def _made(accepted: Accepted, hostname: str, now: float, name: str) -> AnsweringMail | Sequence[Visit]:
    """Return the mail or the requests of a reaction."""
    path, recipient, content = accepted.reverse_path, accepted.recipient, accepted.content
    match accepted.reaction:
        case "late-bounce":
            return late_bounce(hostname, path, recipient, content, now, name)
        case "ooto":
            return automatic_answer(path, recipient, content, now, name)
        case "reply":
            return persons_answer(path, recipient, content, now, name)
        case "complaint":
            return complaint(hostname, path, recipient, content, now, name)
        case "open" | "click" | "unsubscribe" | "scanner" | "mpp":
            return _visits(accepted.reaction, links_in(content))
        case _:
            assert_never(accepted.reaction)


def _visits(reaction: Reaction, links: Links) -> Sequence[Visit]:
    how = {"open": opened, "click": clicked, "unsubscribe": unsubscribed, "scanner": scanned, "mpp": prefetched}
    return how[reaction](links)
