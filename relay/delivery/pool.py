"""The connection pool: idle sessions, connection slots, and servers with recent failures."""

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from relay.delivery.connect import ConnectFailure, Security, connect
from relay.delivery.connection_slots import ConnectionSlots
from relay.delivery.mx import Endpoint, failing_last
from relay.delivery.next_hop import NextHopResolver, Target
from relay.delivery.session import Session
from relay.queue.nodes import full_share
from relay.queue.outcome import Deferred, Refused


class IdleSessions:
    """Idle sessions by lane. Dead ones are skipped. Those idle too long or over the limit are closed with QUIT."""

    def __init__(self) -> None:
        self._sessions: dict[Session, Hashable] = {}
        self._lanes: dict[Hashable, list[Session]] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._sessions)

    def take(self, lane: Hashable) -> Session | None:
        """Return a usable session of this lane, None when there is none."""
        for session in self._pop(lane):
            if session.is_usable:
                return session
            session.abort()
        return None

    def put(self, lane: Hashable, session: Session, idle_timeout: float) -> None:
        """Keep a session for `idle_timeout` seconds at most."""
        session.mark_idle()
        if not session.is_usable:
            session.abort()
            return
        session.expiry = asyncio.get_running_loop().call_later(idle_timeout, self._expire, session)
        self._sessions[session] = lane
        self._lanes.setdefault(lane, []).append(session)

    def close(self, session: Session) -> None:
        """Close a session with QUIT, in the background."""
        if not session.is_usable:
            session.abort()
            return
        task = asyncio.get_running_loop().create_task(session.quit())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def close_oldest(self) -> None:
        """Close the session that has been idle longest, of any lane."""
        oldest = next(iter(self._sessions), None)
        if oldest is not None:
            self._expire(oldest)

    def close_all(self) -> None:
        """Close all idle sessions."""
        for session in tuple(self._sessions):
            self._expire(session)

    async def wait_closed(self) -> None:
        """Wait until all sessions being closed are closed."""
        while self._closing:
            await asyncio.wait(self._closing)

    def _pop(self, lane: Hashable) -> Iterator[Session]:
        while sessions := self._lanes.get(lane):
            session = sessions[-1]
            self._remove(session)
            yield session

    def _expire(self, session: Session) -> None:
        self._remove(session)
        self.close(session)

    def _remove(self, session: Session) -> None:
        lane = self._sessions.pop(session)
        sessions = self._lanes[lane]
        sessions.remove(session)
        if not sessions:
            del self._lanes[lane]
        if session.expiry is not None:
            session.expiry.cancel()
            session.expiry = None


MAX_MEMBERS = 10_000
"""Members of an ExpiringSet, at most."""


class ExpiringSet:
    """A bounded set whose members expire after some seconds. `clock` is monotonic seconds."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._until: dict[Hashable, float] = {}

    def add(self, key: Hashable) -> None:
        """Add a member, or renew it. A full set drops its oldest member."""
        self._until.pop(key, None)
        if len(self._until) >= MAX_MEMBERS:
            del self._until[next(iter(self._until))]
        self._until[key] = self._clock() + self._seconds

    def discard(self, key: Hashable) -> None:
        """Remove a member, if present."""
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
"""Seconds during which an endpoint without a session is tried after the others."""

CLEAR_TEXT_FOR = 3600.0
"""Seconds during which a server with failing opportunistic TLS is contacted in clear text at once."""

MINIMAL_FOR = 6 * 3600.0
"""Seconds during which optional extensions stay unused at a server that rejected commands with them."""


@dataclass(frozen=True, slots=True, eq=False)
class LaneTarget:
    """A lane with its target and the settings that apply to it."""

    lane: str
    target: Target
    next_hops: NextHopResolver


class Pool:
    """Opens sessions and keeps them for the next job.

    `clock` is monotonic seconds. `share` returns the connections of a lane that this node may open.
    """

    def __init__(self, clock: Callable[[], float], share: Callable[[str, int], int] = full_share) -> None:
        self._share = share
        self._slots = ConnectionSlots()
        self._idle = IdleSessions()
        self._failing = ExpiringSet(FAILING_FOR, clock)
        self._clear_text = ExpiringSet(CLEAR_TEXT_FOR, clock)
        self._minimal = ExpiringSet(MINIMAL_FOR, clock)
        self._closed = False

    @asynccontextmanager
    async def slot(self, lane_target: LaneTarget) -> AsyncIterator[None]:
        """Hold a slot for one session of this lane. Wait for it while the lane or the total is at its limit."""
        # Entries claimed before other nodes joined are still delivered.
        most = max(1, self._share(lane_target.lane, lane_target.next_hops.connections(lane_target.target)))
        total = lane_target.next_hops.settings.delivery.max_connections
        async with self._slots.slot(lane_target.lane, lane_most=most, total_most=total):
            yield

    async def session(self, lane_target: LaneTarget) -> Session | Deferred | Refused:
        """Return an idle session, else a new one with the first endpoint that answers, else the outcome."""
        idle = self._idle.take((lane_target.next_hops, lane_target.lane))
        if idle is not None:
            return idle
        endpoints = await lane_target.next_hops.endpoints(lane_target.target)
        if isinstance(endpoints, Deferred | Refused):
            return endpoints

        # Idle sessions count against the limit of connections too.
        if len(self._idle) + self._slots.used > lane_target.next_hops.settings.delivery.max_connections:
            self._idle.close_oldest()
        return await self._connect_first(lane_target, failing_last(endpoints, self._failing))

    def release(self, lane_target: LaneTarget, session: Session) -> None:
        """Keep a session for the next job, or close it after `messages_per_connection` transactions."""
        delivery = lane_target.next_hops.settings.delivery
        if self._closed or session.transactions >= delivery.messages_per_connection:
            self._idle.close(session)
        else:
            self._idle.put((lane_target.next_hops, lane_target.lane), session, delivery.idle_timeout)

    def disable_extensions(self, session: Session) -> None:
        """Stop using the optional extensions of this server, in this session and in later ones."""
        self._minimal.add(session.remote)
        session.offers = session.offers.minimal()

    def close_idle(self) -> None:
        """Close all idle sessions, after a change of the settings they were opened with."""
        self._idle.close_all()

    async def close(self) -> None:
        """Close all idle sessions, keep none from now on, and wait until they are closed."""
        self._closed = True
        self._idle.close_all()
        await self._idle.wait_closed()

    async def _connect_first(self, lane_target: LaneTarget, endpoints: tuple[Endpoint, ...]) -> Session | Deferred:
        failure: ConnectFailure | None = None
        for endpoint in endpoints:
            opened = await self._connect(lane_target, endpoint)
            if isinstance(opened, Session):
                self._failing.discard(endpoint)
                if opened.remote in self._minimal:
                    opened.offers = opened.offers.minimal()
                return opened
            self._failing.add(endpoint)
            failure = opened

        assert failure is not None
        return Deferred(
            failure.reply, str(failure.endpoint), lane_down=True, locked_out=failure.locked_out, phase=failure.phase
        )

    async def _connect(self, lane_target: LaneTarget, endpoint: Endpoint) -> Session | ConnectFailure:
        """Connect. After a failure of opportunistic TLS, connect once more in clear text."""
        options = lane_target.next_hops.connect_options(lane_target.target, endpoint)
        if options.security is not Security.OPPORTUNISTIC:
            return await connect(endpoint, options)

        clear_text = replace(options, security=Security.NONE)
        if endpoint in self._clear_text:
            return await connect(endpoint, clear_text)

        opened = await connect(endpoint, options)
        if isinstance(opened, Session) or not opened.tls_failed:
            return opened
        reopened = await connect(endpoint, clear_text)
        if isinstance(reopened, Session):
            self._clear_text.add(endpoint)
        return reopened
