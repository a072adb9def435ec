"""Idle sessions, kept for the next job of their lane or site."""

import asyncio
from collections.abc import Container, Hashable, Iterator
from typing import NamedTuple

from relay.delivery.session import Session


class IdleKey(NamedTuple):
    """What a kept session may be used for."""

    options: Hashable
    """The settings it was opened with."""
    site: str
    lane: str


class IdleSessions:
    """Idle sessions by site. Dead ones are skipped. Those idle too long or over the limit are closed with QUIT."""

    def __init__(self) -> None:
        self._sessions: dict[Session, IdleKey] = {}
        self._sites: dict[tuple[Hashable, str], list[Session]] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._sessions)

    def count(self, key: IdleKey) -> int:
        """Return the number of idle sessions of a site."""
        return len(self._sites.get(key[:2], ()))

    def take(self, key: IdleKey, besides: Container[str]) -> Session | None:
        """Return a usable session of this lane with another server than `besides`, None if there is none."""
        return self._take(
            session
            for session in self._newest(key)
            if session.remote not in besides and self._sessions[session].lane == key.lane
        )

    def take_of_site(self, key: IdleKey, servers: Container[str]) -> Session | None:
        """Return a usable session of any lane of the site with one of these servers, None if there is none."""
        return self._take(session for session in self._newest(key) if session.remote in servers)

    def put(self, key: IdleKey, session: Session, idle_timeout: float) -> None:
        """Keep a session for `idle_timeout` seconds at most."""
        session.mark_idle()
        if not session.is_usable:
            session.abort()
            return
        session.idle_until = asyncio.get_running_loop().time() + idle_timeout
        self._set_timer(session)
        self._sessions[session] = key
        self._sites.setdefault(key[:2], []).append(session)

    async def close_oldest_of(self, key: IdleKey) -> None:
        """Close the session of a site that has been idle longest, and wait until it is closed."""
        sessions = self._sites.get(key[:2])
        if sessions:
            session = sessions[0]
            self._remove(session)
            await session.quit()

    def close(self, session: Session) -> None:
        """Close a session with QUIT, in the background."""
        if session.expiry is not None:
            session.expiry.cancel()
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

    def _newest(self, key: IdleKey) -> Iterator[Session]:
        """Return the sessions of a site, the last one first. They may be removed meanwhile."""
        return reversed(tuple(self._sites.get(key[:2], ())))

    def _take(self, candidates: Iterator[Session]) -> Session | None:
        """Remove and return the first candidate that is usable."""
        for session in candidates:
            self._remove(session)
            if session.is_usable:
                return session
            session.abort()
        return None

    def _set_timer(self, session: Session) -> None:
        """Set the timer of a session. One for an earlier time stays: most sessions are taken long before."""
        if session.expiry is not None:
            if session.expiry.when() <= session.idle_until:
                return
            session.expiry.cancel()
        session.expiry = asyncio.get_running_loop().call_at(session.idle_until, self._time_out, session)

    def _time_out(self, session: Session) -> None:
        """Close a session that has been idle too long."""
        session.expiry = None
        if session not in self._sessions:
            return
        if asyncio.get_running_loop().time() < session.idle_until:
            self._set_timer(session)
        else:
            self._expire(session)

    def _expire(self, session: Session) -> None:
        self._remove(session)
        self.close(session)

    def _remove(self, session: Session) -> None:
        key = self._sessions.pop(session)
        sessions = self._sites[key[:2]]
        sessions.remove(session)
        if not sessions:
            del self._sites[key[:2]]
