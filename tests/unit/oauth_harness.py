"""A token source with an endpoint, a store and clocks in memory."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import Any

from relay.events.ports import StoreError
from relay.oauth.account import Account
from relay.oauth.rotation import RefreshTokens
from relay.oauth.sealing import Key, unseal
from relay.oauth.tokens import AccessToken, NoToken, TokenSource
from tests.unit.oauth_parts import KEYS, MICROSOFT, Endpoint, MemoryTokens, Moments, account_of


class Harness:
    """A token source with an endpoint, a store and clocks in memory. `noted` are the results that it reported."""

    def __init__(self, oauth: Mapping[str, Any] = MICROSOFT, store: MemoryTokens | None = None) -> None:
        self.endpoint, self.clock, self.steady = Endpoint(), Moments(), Moments(0.0)
        self.store = store or MemoryTokens()
        self.keys: Sequence[Key] = KEYS
        self.troubles: list[StoreError] = []
        self.noted: list[AccessToken | NoToken] = []
        self.refresh = RefreshTokens(
            self.store,
            keys=lambda: self.keys,
            ask=self.endpoint,
            clock=self.clock,
            random=os.urandom,
            store_failed=self.troubles.append,
        )
        self.source = TokenSource(
            account_of(oauth),
            self.refresh,
            self.endpoint,
            clock=self.clock,
            steady=self.steady,
            random=os.urandom,
            noted=self.note,
        )

    def note(self, _: Account, result: AccessToken | NoToken) -> None:
        self.noted.append(result)

    async def value(self) -> str:
        found = await self.source.token()
        assert isinstance(found, AccessToken), found
        return found.value

    async def failure(self) -> NoToken:
        found = await self.source.token()
        assert isinstance(found, NoToken), found
        return found

    async def settled(self) -> None:
        """Wait until no request is in flight."""
        while self.source.is_fetching:
            await asyncio.sleep(0)

    def stored(self) -> str:
        (row,) = self.store.rows.values()
        return unseal(row.sealed, "up", KEYS)
