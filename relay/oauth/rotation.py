"""Exchanges refresh tokens, which may change with each use, for all nodes in turn.

A node reserves the token in the store before it asks, so that no token is used twice: many endpoints end the whole
login when that happens. The new token is durable before the access token that came with it is used.
"""

import asyncio
from collections.abc import Callable, Sequence

from relay.clock import Clock
from relay.events.ports import StoreError
from relay.oauth.account import Account
from relay.oauth.answers import Grant, Refusal
from relay.oauth.endpoint import TIMEOUT, Ask
from relay.oauth.guidance import NOBODY_LOGGED_IN
from relay.oauth.ports import RefreshTokenStore, StoredToken
from relay.oauth.requests import refresh_request
from relay.oauth.sealing import Key, SealError, seal, unseal

RESERVED = 2 * TIMEOUT
"""Seconds for which a node reserves a token: longer than any request."""

POLL = 0.5
"""Seconds between two looks at a token that another node has reserved."""

STORE_RETRY = 1.0
"""Seconds between two attempts to store a new token."""


class RefreshTokens:
    """The refresh tokens in the store, sealed with the tracker keys. `holder` is a name of this process."""

    def __init__(
        self,
        store: RefreshTokenStore,
        *,
        keys: Callable[[], Sequence[Key]],
        ask: Ask,
        clock: Clock,
        random: Callable[[int], bytes],
        store_failed: Callable[[StoreError], None],
    ) -> None:
        self.store = store
        self._keys = keys
        self._ask = ask
        self._clock = clock
        self._random = random
        self._store_failed = store_failed
        self._holder = random(16).hex()

    async def put(self, name: str, token: str) -> None:
        """Store the refresh token of a login. Raises StoreError."""
        await self.store.put(name, self._sealed(name, token), self._clock())

    async def exchange(self, account: Account) -> Grant | Refusal:
        """Return a new access token, when the refresh token that came with it is durable. Raises StoreError before."""
        while True:
            taken = await self.store.lease(account.name, self._holder, self._clock(), self._clock() + RESERVED)
            if taken is not None:
                break
            if await self.store.find(account.name) is None:
                return Refusal(NOBODY_LOGGED_IN)
            await asyncio.sleep(POLL)

        try:
            refresh_token = unseal(taken.sealed, account.name, self._keys())
        except SealError as error:
            await self.store.release(account.name, self._holder)
            return Refusal(NOBODY_LOGGED_IN, str(error))
        answer = await self._ask(*refresh_request(account, refresh_token, self._clock(), self._random(16).hex()))
        await self._keep(taken, answer.refresh_token if isinstance(answer, Grant) else "")
        if isinstance(answer, Refusal) and answer.is_final and await self._was_changed(taken):
            return await self.exchange(account)  # Another node, or a new login, was faster.
        return answer

    async def _keep(self, taken: StoredToken, new: str) -> None:
        """Store a new refresh token, "" for none, and end the reservation. A failing store is tried without limit."""
        sealed = self._sealed(taken.name, new) if new else ""
        while True:
            try:
                if not sealed or not await self.store.rotate(taken, sealed, self._clock()):
                    await self.store.release(taken.name, self._holder)
            except StoreError as error:
                self._store_failed(error)
                await asyncio.sleep(STORE_RETRY)
            else:
                return

    async def _was_changed(self, taken: StoredToken) -> bool:
        found = await self.store.find(taken.name)
        return found is not None and found.version != taken.version

    def _sealed(self, name: str, token: str) -> str:
        return seal(token, name, self._keys()[0], self._random(12))
