"""Idle sessions, kept for the next job of their lane."""

import asyncio
from collections.abc import Container, Hashable

from relay.delivery.session import Session


class IdleSessions:
    """Idle sessions by lane. Dead ones are skipped. Those idle too long or over the limit are closed with QUIT."""

    def __init__(self) -> None:
        self._sessions: dict[Session, Hashable] = {}
        self._lanes: dict[Hashable, list[Session]] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._sessions)

    def take(self, lane: Hashable, besides: Container[str] = ()) -> Session | None:
        """Return a usable session of this lane with another server than `besides`, None when there is none."""
        for session in self._lanes.get(lane, [])[::-1]:
            if session.remote in besides:
                continue
            self._remove(session)
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
