"""Exchanges refresh tokens, which may change with each use, for all nodes in turn.

A node reserves the token in the store before it asks, so that no token is used twice. Many endpoints end the whole
login when that happens. The new token is durable before the access token that came with it is used.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence

from relay.clock import Clock
from relay.events.ports import StoreError
from relay.oauth.account import Account
from relay.oauth.guidance import NO_LOGIN
from relay.oauth.ports import TIMEOUT, RefreshTokenStore, RequestToken, StoredToken
from relay.oauth.sealing import Key, SealError, is_sealed_with, seal, unseal
from relay.oauth.token_requests import refresh_request
from relay.oauth.token_responses import Grant, Refusal

RESERVED = 2 * TIMEOUT
"""Seconds for which a node reserves a token: longer than any request."""

POLL = 0.5
"""Seconds between two reads of a token that another node has reserved."""

STORE_RETRY = 1.0
"""Seconds between two attempts to store a new token."""


class RefreshTokens:
    """The refresh tokens in the store, sealed with the tracker keys. `holder` is a name of this process."""

    def __init__(
        self,
        store: RefreshTokenStore,
        *,
        keys: Callable[[], Sequence[Key]],
        ask: RequestToken,
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
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        """Exchanges of this process, by account: requests of replaced settings may still be in flight."""

    async def put(self, name: str, token: str) -> None:
        """Store the refresh token of a login. Raises StoreError."""
        await self.store.put(name, self._sealed(name, token), self._clock())

    async def exchange(self, account: Account) -> Grant | Refusal:
        """Return a new access token, when the refresh token that came with it is durable. Raises StoreError before."""
        async with self._turns[account.name]:
            while (taken := await self._reserved(account.name)) is not None:
                try:
                    refresh_token = unseal(taken.sealed, account.name, self._keys())
                except SealError as error:
                    await self.store.release(account.name, self._holder)
                    return Refusal(NO_LOGIN, str(error))

                request = refresh_request(account, refresh_token, self._clock(), self._random(16).hex())
                answer = await self._ask(*request)
                if await self._keep(taken, self._following(taken, refresh_token, answer)):
                    return answer
            return Refusal(NO_LOGIN)

    async def _reserved(self, name: str) -> StoredToken | None:
        """Reserve the token of an account, when no other node has it reserved. None without a stored login."""
        while True:
            now = self._clock()
            taken = await self.store.lease(name, self._holder, now, now + RESERVED)
            if taken is not None or await self.store.find(name) is None:
                return taken
            await asyncio.sleep(POLL)

    def _following(self, taken: StoredToken, refresh_token: str, answer: Grant | Refusal) -> str:
        """Return the refresh token to store, "" for none.

        One that does not change is sealed anew with the first key, so that the former key can be removed.
        """
        if isinstance(answer, Refusal):
            return ""
        return answer.refresh_token or ("" if is_sealed_with(taken.sealed, self._keys()[0]) else refresh_token)

    async def _keep(self, taken: StoredToken, new: str) -> bool:
        """Store a new refresh token, "" for none, and end the reservation. A failing store is tried without limit.

        Return False if the token was changed meanwhile: another node was faster, or somebody logged in or out.
        """
        sealed = self._sealed(taken.name, new) if new else ""
        while True:
            try:
                if sealed and await self.store.rotate(taken, sealed):
                    return True
                await self.store.release(taken.name, self._holder)
                found = await self.store.find(taken.name)
            except StoreError as error:
                self._store_failed(error)
                await asyncio.sleep(STORE_RETRY)
            else:
                return found == taken

    def _sealed(self, name: str, token: str) -> str:
        return seal(token, name, self._keys()[0], self._random(12))
