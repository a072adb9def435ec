"""The sessions of all lanes: places for those in use, kept ones for the next job, new ones when there is need."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from relay.delivery.dial import Unreachable, dial
from relay.delivery.directory import Directory, Target
from relay.delivery.kept import Kept
from relay.delivery.memory import Remembered
from relay.delivery.places import Places
from relay.delivery.route import Hop, rested
from relay.delivery.session import Session
from relay.delivery.tls import Security
from relay.queue.outcome import Deferred, Refused
from relay.queue.share import whole

FAILING_FOR = 60.0
"""Seconds an address that gave no session is tried behind the others."""
CLEAR_TEXT_FOR = 3600.0
"""Seconds a server whose TLS failed, where TLS is only a wish, is spoken to in clear text at once."""
PLAIN_FOR = 6 * 3600.0
"""Seconds a server that tripped over its extensions is spoken to without those mail can do without."""


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """A lane with what its name stands for, under the settings of one moment."""

    lane: str
    target: Target
    directory: Directory


class Pool:
    """Hands out sessions and takes them back. `clock` is monotonic seconds, `share` what of a lane is this node's."""

    def __init__(self, clock: Callable[[], float], share: Callable[[str, int], int] = whole) -> None:
        self._share = share
        self._places = Places()
        self._kept = Kept()
        self._failing = Remembered(FAILING_FOR, clock)
        self._clear_text = Remembered(CLEAR_TEXT_FOR, clock)
        self._plain = Remembered(PLAIN_FOR, clock)
        self._closed = False

    @asynccontextmanager
    async def place(self, line: Line) -> AsyncIterator[None]:
        """Hold a place for one session of this lane, waiting for it when the lane or all of them are full."""
        # What was claimed before other nodes came is delivered all the same.
        most = max(1, self._share(line.lane, line.directory.connections(line.target)))
        total = line.directory.settings.delivery.max_connections
        async with self._places.place(line.lane, lane_most=most, total_most=total):
            yield

    async def session(self, line: Line) -> Session | Deferred | Refused:
        """Return a kept session, else a new one with the first address that answers, else why there is none."""
        kept = self._kept.take((line.directory, line.lane))
        if kept is not None:
            return kept
        hops = await line.directory.hops(line.target)
        if isinstance(hops, Deferred | Refused):
            return hops
        if len(self._kept) + self._places.used > line.directory.settings.delivery.max_connections:
            self._kept.dismiss_oldest()
        return await self._first(line, rested(hops, self._failing))

    def give_back(self, line: Line, session: Session) -> None:
        """Keep a session for the next job, or end it when it has done enough."""
        delivery = line.directory.settings.delivery
        if self._closed or session.transactions >= delivery.messages_per_connection:
            self._kept.dismiss(session)
        else:
            self._kept.put((line.directory, line.lane), session, delivery.idle_timeout)

    def speak_plainly(self, session: Session) -> None:
        """Use no extension of this server that mail can do without, in this session and in those to come."""
        self._plain.add(session.remote)
        session.offers = session.offers.plain()

    def forget_kept(self) -> None:
        """Say goodbye to all kept sessions: the settings they were opened with hold no longer."""
        self._kept.dismiss_all()

    async def close(self) -> None:
        """Say goodbye to all kept sessions and keep none from now on; return when that is done."""
        self._closed = True
        self._kept.dismiss_all()
        await self._kept.drained()

    async def _first(self, line: Line, hops: tuple[Hop, ...]) -> Session | Deferred:
        failure: Unreachable | None = None
        for hop in hops:
            opened = await self._open(line, hop)
            if isinstance(opened, Session):
                self._failing.discard(hop)
                if opened.remote in self._plain:
                    opened.offers = opened.offers.plain()
                return opened
            self._failing.add(hop)
            failure = opened
        assert failure is not None
        return Deferred(
            failure.reply, str(failure.hop), lane_down=True, locked_out=failure.locked_out, phase=failure.phase
        )

    async def _open(self, line: Line, hop: Hop) -> Session | Unreachable:
        """Dial; where TLS is only a wish and fails, dial once more in clear text."""
        manner = line.directory.manner(line.target, hop)
        if manner.security is not Security.OPPORTUNISTIC:
            return await dial(hop, manner)
        in_clear = replace(manner, security=Security.NONE)
        if hop in self._clear_text:
            return await dial(hop, in_clear)
        opened = await dial(hop, manner)
        if isinstance(opened, Session) or not opened.by_tls:
            return opened
        again = await dial(hop, in_clear)
        if isinstance(again, Session):
            self._clear_text.add(hop)
        return again
