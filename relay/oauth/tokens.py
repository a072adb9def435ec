"""Access tokens of accounts, fetched ahead of time: one request at a time, however many connections wait."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from relay.clock import Clock
from relay.events.ports import StoreError
from relay.oauth.account import Account, host_of
from relay.oauth.guidance import NO_LOGIN, guidance_of
from relay.oauth.ports import TIMEOUT, RequestToken
from relay.oauth.rotation import RefreshTokens
from relay.oauth.token_requests import app_request, service_account_url
from relay.oauth.token_responses import Grant, Refusal

AHEAD = 0.8
"""Part of the life of a token after which the next one is fetched."""

MARGIN = 10.0
"""Seconds before its end from which a token is not used any more."""

MAX_WAIT = 60.0
"""Seconds that a connection waits for a token, at most."""

ASK_AGAIN = 10.0
"""Seconds after a failure before the endpoint is asked again."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """An access token. Times are monotonic seconds."""

    value: str = field(repr=False)
    source: str
    """Host of the endpoint."""
    renew_at: float
    ends_at: float


@dataclass(frozen=True, slots=True)
class NoToken:
    """Why there is no access token. `is_final`: there will be none before somebody changes something."""

    source: str
    reason: str
    guidance: str
    is_final: bool
    kind: str
    """Error and number of the endpoint, without its text."""

    def __str__(self) -> str:
        when = "" if self.is_final else " at present"
        return f"no access token{when} from {self.source}: {self.reason}. {self.guidance}"


class AccessTokens(Protocol):
    """Access tokens of accounts, by name."""

    async def token(self, name: str) -> AccessToken | NoToken:
        """Return a token that is valid."""

    async def renewed(self, name: str, refused: AccessToken) -> AccessToken | NoToken:
        """Return another token than the one that a server refused."""


class TokenSource:
    """The access token of one account. `steady` gives monotonic seconds, `failed` is called when there is none."""

    def __init__(
        self,
        account: Account,
        refresh_tokens: RefreshTokens,
        ask: RequestToken,
        *,
        clock: Clock,
        steady: Clock,
        random: Callable[[int], bytes],
        noted: Callable[[Account, AccessToken | NoToken], None],
    ) -> None:
        self.account = account
        self._refresh_tokens = refresh_tokens
        self._ask = ask
        self._clock = clock
        self._steady = steady
        self._random = random
        self._noted = noted
        self._fetching: asyncio.Task[AccessToken | NoToken] | None = None
        self._last: AccessToken | NoToken | None = None
        """The result of the last request."""
        self._current: AccessToken | None = None
        self._failed_at = float("-inf")

    @property
    def is_fetching(self) -> bool:
        """Whether a request is in flight."""
        return self._fetching is not None

    @property
    def last(self) -> AccessToken | NoToken | None:
        """The result of the last request, None before the first."""
        return self._last

    async def token(self) -> AccessToken | NoToken:
        """Return a token that is valid, or why there is none. One that ends soon is renewed meanwhile."""
        now = self._steady()
        if self._current is not None and now < self._current.ends_at - MARGIN:
            if now >= self._current.renew_at:
                self._begin()
            return self._current

        self._begin()
        if self._fetching is None:
            assert self._last is not None
            return self._last
        try:
            async with asyncio.timeout(MAX_WAIT):
                return await asyncio.shield(self._fetching)
        except TimeoutError:
            return self._no_token(Refusal("no answer", f"the request takes longer than {MAX_WAIT:g} s", is_final=False))

    async def renewed(self, refused: AccessToken) -> AccessToken | NoToken:
        """Return another token than the one that a server refused."""
        if self._current is refused:
            self._current = None
        return await self.token()

    def forget(self) -> None:
        """Forget token and failure: the next use asks the endpoint."""
        self._current = self._last = None
        self._failed_at = float("-inf")

    async def close(self) -> None:
        """Wait for a request in flight: it may bring a refresh token that has to be stored."""
        if self._fetching is not None:
            fetching = self._fetching
            await asyncio.wait((fetching,), timeout=TIMEOUT)
            fetching.cancel()

    def _begin(self) -> None:
        """Ask the endpoint, unless a request is in flight or failed just now.

        That no login is stored is no failure of the endpoint: a login on another node counts at once.
        """
        failed = isinstance(self._last, NoToken) and self._last.kind != NO_LOGIN
        failed_just_now = failed and self._steady() < self._failed_at + ASK_AGAIN
        if self._fetching is None and not failed_just_now:
            self._fetching = asyncio.create_task(self._fetch(), name=f"token of {self.account.name}")

    async def _fetch(self) -> AccessToken | NoToken:
        try:
            asked_at = self._steady()
            answer = await self._answer()
            self._last = found = self._result(answer, asked_at)
            if isinstance(found, AccessToken):
                self._current = found
            else:
                self._failed_at = self._steady()
            self._noted(self.account, found)
            return found
        finally:
            self._fetching = None

    async def _answer(self) -> Grant | Refusal:
        account = self.account
        if not account.needs_login:
            return await self._ask(*app_request(account, self._clock(), self._random(16).hex()))
        try:
            return await self._refresh_tokens.exchange(account)
        except StoreError as error:
            return Refusal("no answer", f"the store does not answer: {error}", is_final=False)

    def _result(self, answer: Grant | Refusal, asked_at: float) -> AccessToken | NoToken:
        if isinstance(answer, Refusal):
            return self._no_token(answer)
        return AccessToken(answer.access_token, self._source(), asked_at + AHEAD * answer.life, asked_at + answer.life)

    def _no_token(self, refusal: Refusal) -> NoToken:
        return NoToken(self._source(), str(refusal), guidance_of(refusal, self.account), refusal.is_final, refusal.kind)

    def _source(self) -> str:
        uses_key_file = bool(self.account.oauth.service_account.get_secret_value())
        return host_of(service_account_url(self.account) if uses_key_file else self.account.token_url)
