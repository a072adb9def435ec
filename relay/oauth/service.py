"""OAuth2 of a running relay: the token sources of its accounts, kept ahead of their use, and logins."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from relay.clock import Clock
from relay.config.oauth_checks import secret_expiry
from relay.config.settings import Settings
from relay.log import Emit
from relay.oauth.account import Account, accounts_of
from relay.oauth.ports import RequestToken
from relay.oauth.rotation import RefreshTokens
from relay.oauth.tokens import AccessToken, NoToken, TokenSource

INTERVAL = 30.0
"""Seconds between two checks of the tokens."""

Alert = Callable[[str, str, str], None]
"""Sends an alert: cause, subject, text."""


@dataclass(frozen=True, slots=True)
class AccountState:
    """State of an account. `logged_in_at` is Unix seconds, 0 for never; `left` the seconds of the token."""

    account: Account
    result: AccessToken | NoToken | None
    left: float
    logged_in_at: float


class OAuthService:
    """The token sources of the accounts in the settings in force."""

    def __init__(
        self,
        settings: Callable[[], Settings],
        refresh_tokens: RefreshTokens,
        ask: RequestToken,
        *,
        clock: Clock,
        steady: Clock,
        random: Callable[[int], bytes],
        log: Emit,
        alert: Alert,
    ) -> None:
        self._settings = settings
        self._refresh_tokens = refresh_tokens
        self._ask = ask
        self._clock = clock
        self._steady = steady
        self._random = random
        self._log = log
        self._alert = alert
        self._sources: dict[str, TokenSource] = {}
        self._replaced: list[TokenSource] = []
        """Sources of former settings with a request in flight: it may bring a refresh token."""
        self._accounts: tuple[Settings | None, Mapping[str, Account]] = (None, {})
        self._logged: dict[str, str] = {}
        """The kind of the failure of each account that was logged last."""
        self._warned: dict[str, str] = {}
        """The day on which the end of a client secret was reported, by account."""

    def accounts(self) -> Mapping[str, Account]:
        """Return the accounts of the settings in force, by name."""
        settings = self._settings()
        if self._accounts[0] is not settings:
            self._accounts = (settings, accounts_of(settings))
        return self._accounts[1]

    async def token(self, name: str) -> AccessToken | NoToken:
        """Return a valid token of an account. Raises KeyError for an unknown one."""
        return await self._source(name).token()

    async def renewed(self, name: str, refused: AccessToken) -> AccessToken | NoToken:
        """Return another token than the one that a server refused."""
        return await self._source(name).renewed(refused)

    async def run(self) -> None:
        """Keep a token of each account ready, until cancelled."""
        while True:
            accounts = self.accounts()
            await asyncio.gather(*[self._source(name).token() for name in accounts])
            for account in accounts.values():
                self._warn_of_secret(account)
            await asyncio.sleep(INTERVAL)

    async def states(self) -> Sequence[AccountState]:
        """Return the state of each account. Raises StoreError."""
        stored = {one.name: one.logged_in_at for one in await self._refresh_tokens.store.tokens()}
        now = self._steady()
        return [
            AccountState(account, result, _left(result, now), stored.get(name, 0.0))
            for name, account in self.accounts().items()
            for result in (self._source(name).last,)
        ]

    async def log_in(self, name: str, refresh_token: str) -> AccessToken | NoToken:
        """Store the refresh token of a login, and return the first access token. Raises StoreError."""
        await self._refresh_tokens.put(name, refresh_token)
        self._log("oauth.logged_in", account=name)
        self._source(name).forget()
        return await self.token(name)

    async def log_out(self, name: str) -> bool:
        """Delete the login of an account; return whether there was one. Raises StoreError."""
        deleted = await self._refresh_tokens.store.delete(name)
        if deleted:
            self._log("oauth.logged_out", account=name)
        if name in self.accounts():
            self._source(name).forget()
        return deleted

    async def close(self) -> None:
        """Wait for requests in flight."""
        await asyncio.gather(*(source.close() for source in (*self._sources.values(), *self._replaced)))

    def _source(self, name: str) -> TokenSource:
        """Return the source of an account; a new one after its settings changed."""
        account = self.accounts()[name]
        source = self._sources.get(name)
        if source is None or source.account != account:
            former = (*self._replaced, *([source] if source else []))
            self._replaced = [one for one in former if one.is_fetching]
            source = self._sources[name] = TokenSource(
                account,
                self._refresh_tokens,
                self._ask,
                clock=self._clock,
                steady=self._steady,
                random=self._random,
                noted=self._note,
            )
        return source

    def _note(self, account: Account, result: AccessToken | NoToken) -> None:
        """Log a token, and a failure once until it changes; send an alert about one that needs somebody."""
        name = account.name
        if isinstance(result, AccessToken):
            self._logged.pop(name, None)
            self._log("oauth.token", account=name, server=result.source, seconds=round(_left(result, self._steady())))
            return
        if self._logged.get(name) == result.kind:
            return
        self._logged[name] = result.kind
        self._log("oauth.failed", account=name, server=result.source, error=result.reason, guidance=result.guidance)
        if result.is_final:
            self._alert(*_alert(account, result))

    def _warn_of_secret(self, account: Account) -> None:
        """Report once a day that a client secret expires."""
        now = self._clock()
        today = datetime.fromtimestamp(now, UTC).date().isoformat()
        if (text := secret_expiry(account.oauth, now)) and self._warned.get(account.name) != today:
            self._warned[account.name] = today
            self._log("oauth.secret_expires", account=account.name, text=text)
            lines = f"{text[0].upper()}{text[1:]}.\n\nAccount:     {account.name}\n"
            self._alert(f"oauth secret {account.name}", f"{account.name}: {text}", lines)


def _left(result: AccessToken | NoToken | None, now: float) -> float:
    return max(0.0, result.ends_at - now) if isinstance(result, AccessToken) else 0.0


def _alert(account: Account, failure: NoToken) -> tuple[str, str, str]:
    """Return cause, subject and text of the alert."""
    text = (
        f"{account.name} gets no access token, so it cannot log in.\n\n"
        f"Server:      {failure.source}\n"
        f"Error:       {failure.reason}\n"
        f"What to do:  {failure.guidance}\n\n"
        "  relay oauth status             shows the accounts and their tokens\n"
        f"  relay oauth login {account.name}   logs in, if a person has to\n"
    )
    return f"oauth {account.name}", f"{account.name} gets no access token: {failure.reason}", text
