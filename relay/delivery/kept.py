"""Sessions kept open between transactions, by lane: the one used last is taken first, so that surplus ones go away."""

import asyncio
from collections.abc import Hashable, Iterator

from relay.delivery.session import Session


class Kept:
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
