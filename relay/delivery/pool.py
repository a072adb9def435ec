"""Connection pool: idle sessions, recent failures."""

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from relay.delivery.connect import ConnectFailure, Security, connect
from relay.delivery.mx import Endpoint, failing_last
from relay.delivery.next_hop import NextHopResolver, Target
from relay.delivery.session import Session
from relay.delivery.slots import ConnectionSlots
from relay.queue.nodes import full_share
from relay.queue.outcome import Deferred, Refused


class IdleSessions:
    """Idle sessions. Those that are dead are passed over; those that rest too long or are too many are said goodbye."""

    def __init__(self) -> None:
        self._sessions: dict[Session, Hashable] = {}
        self._lanes: dict[Hashable, list[Session]] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._sessions)

    def take(self, lane: Hashable) -> Session | None:
        """Return a session of this lane that seems alive, None when there is none."""
        for session in self._pop(lane):
            if session.is_usable:
                return session
            session.abort()
        return None

    def put(self, lane: Hashable, session: Session, idle_timeout: float) -> None:
        """Keep a session for at most so many seconds."""
        session.rest()
        if not session.is_usable:
            session.abort()
            return
        session.expiry = asyncio.get_running_loop().call_later(idle_timeout, self._expire, session)
        self._sessions[session] = lane
        self._lanes.setdefault(lane, []).append(session)

    def dismiss(self, session: Session) -> None:
        """Say goodbye to a session in the background."""
        if not session.is_usable:
            session.abort()
            return
        task = asyncio.get_running_loop().create_task(session.quit())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    def dismiss_oldest(self) -> None:
        """Say goodbye to the session that has rested longest, of whichever lane."""
        oldest = next(iter(self._sessions), None)
        if oldest is not None:
            self._expire(oldest)

    def dismiss_all(self) -> None:
        """Say goodbye to all."""
        for session in tuple(self._sessions):
            self._expire(session)

    async def drained(self) -> None:
        """Return when all goodbyes are said."""
        while self._leaving:
            await asyncio.wait(self._leaving)

    def _pop(self, lane: Hashable) -> Iterator[Session]:
        while sessions := self._lanes.get(lane):
            session = sessions[-1]
            self._remove(session)
            yield session

    def _expire(self, session: Session) -> None:
        self._remove(session)
        self.dismiss(session)

    def _remove(self, session: Session) -> None:
        lane = self._sessions.pop(session)
        sessions = self._lanes[lane]
        sessions.remove(session)
        if not sessions:
            del self._lanes[lane]
        if session.expiry is not None:
            session.expiry.cancel()
            session.expiry = None


MAX_REMEMBERED = 10_000


class ExpiringSet:
    """A bounded set whose members are forgotten after some seconds. `clock` is monotonic seconds."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._until: dict[Hashable, float] = {}

    def add(self, key: Hashable) -> None:
        """Remember from now on; the oldest make room."""
        self._until.pop(key, None)
        if len(self._until) >= MAX_REMEMBERED:
            del self._until[next(iter(self._until))]
        self._until[key] = self._clock() + self._seconds

    def discard(self, key: Hashable) -> None:
        """Forget at once."""
        self._until.pop(key, None)

    def __contains__(self, key: object) -> bool:
        until = self._until.get(key)
        if until is None:
            return False
        if until <= self._clock():
            del self._until[key]
            return False
        return True


FAILING_FOR = 60.0
"""Seconds an address that gave no session is tried behind the others."""


CLEAR_TEXT_FOR = 3600.0
"""Seconds a server whose TLS failed, where TLS is only a wish, is spoken to in clear text at once."""


PLAIN_FOR = 6 * 3600.0
"""Seconds a server that tripped over its extensions is spoken to without those mail can do without."""


@dataclass(frozen=True, slots=True, eq=False)
class LaneTarget:
    """A lane with what its name stands for, under the settings of one moment."""

    lane: str
    target: Target
    directory: NextHopResolver


class Pool:
    """Hands out sessions and takes them back. `clock` is monotonic seconds, `share` what of a lane is this node's."""

    def __init__(self, clock: Callable[[], float], share: Callable[[str, int], int] = full_share) -> None:
        self._share = share
        self._places = ConnectionSlots()
        self._kept = IdleSessions()
        self._failing = ExpiringSet(FAILING_FOR, clock)
        self._clear_text = ExpiringSet(CLEAR_TEXT_FOR, clock)
        self._plain = ExpiringSet(PLAIN_FOR, clock)
        self._closed = False

    @asynccontextmanager
    async def place(self, line: LaneTarget) -> AsyncIterator[None]:
        """Hold a place for one session of this lane, waiting for it when the lane or all of them are full."""
        # What was claimed before other nodes came is delivered all the same.
        most = max(1, self._share(line.lane, line.directory.connections(line.target)))
        total = line.directory.settings.delivery.max_connections
        async with self._places.place(line.lane, lane_most=most, total_most=total):
            yield

    async def session(self, line: LaneTarget) -> Session | Deferred | Refused:
        """Return a kept session, else a new one with the first address that answers, else why there is none."""
        kept = self._kept.take((line.directory, line.lane))
        if kept is not None:
            return kept
        hops = await line.directory.hops(line.target)
        if isinstance(hops, Deferred | Refused):
            return hops
        if len(self._kept) + self._places.used > line.directory.settings.delivery.max_connections:
            self._kept.dismiss_oldest()
        return await self._first(line, failing_last(hops, self._failing))

    def give_back(self, line: LaneTarget, session: Session) -> None:
        """Keep a session for the next job, or end it when it has done enough."""
        delivery = line.directory.settings.delivery
        if self._closed or session.transactions >= delivery.messages_per_connection:
            self._kept.dismiss(session)
        else:
            self._kept.put((line.directory, line.lane), session, delivery.idle_timeout)

    def disable_extensions(self, session: Session) -> None:
        """Use no extension of this server that mail can do without, in this session and in those to come."""
        self._plain.add(session.remote)
        session.offers = session.offers.minimal()

    def forget_kept(self) -> None:
        """Say goodbye to all kept sessions: the settings they were opened with hold no longer."""
        self._kept.dismiss_all()

    async def close(self) -> None:
        """Say goodbye to all kept sessions and keep none from now on; return when that is done."""
        self._closed = True
        self._kept.dismiss_all()
        await self._kept.drained()

    async def _first(self, line: LaneTarget, hops: tuple[Endpoint, ...]) -> Session | Deferred:
        failure: ConnectFailure | None = None
        for hop in hops:
            opened = await self._open(line, hop)
            if isinstance(opened, Session):
                self._failing.discard(hop)
                if opened.remote in self._plain:
                    opened.offers = opened.offers.minimal()
                return opened
            self._failing.add(hop)
            failure = opened
        assert failure is not None
        return Deferred(
            failure.reply, str(failure.hop), lane_down=True, locked_out=failure.locked_out, phase=failure.phase
        )

    async def _open(self, line: LaneTarget, hop: Endpoint) -> Session | ConnectFailure:
        """Dial; where TLS is only a wish and fails, dial once more in clear text."""
        manner = line.directory.manner(line.target, hop)
        if manner.security is not Security.OPPORTUNISTIC:
            return await connect(hop, manner)
        in_clear = replace(manner, security=Security.NONE)
        if hop in self._clear_text:
            return await connect(hop, in_clear)
        opened = await connect(hop, manner)
        if isinstance(opened, Session) or not opened.by_tls:
            return opened
        again = await connect(hop, in_clear)
        if isinstance(again, Session):
            self._clear_text.add(hop)
        return again
