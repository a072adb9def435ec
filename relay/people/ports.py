"""What people and their sessions need of the store. All methods of these protocols raise StoreError."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Account:
    """What a person chose: password and app. Times are Unix seconds, 0 for never."""

    address: str
    code_mark: str = ""
    """Fingerprint of the hash of the code that the password replaced."""
    password_hash: str = field(default="", repr=False)
    totp: str = field(default="", repr=False)
    """Secret of the app, sealed; "" without an app."""
    totp_step: int = 0
    """Step of the last code that was used: earlier ones are used up too."""
    logged_in_at: float = 0.0
    network: str = ""
    """Network of the last login."""


@dataclass(frozen=True, slots=True)
class Session:
    """A login that lasts. The store has the hash of its token only."""

    token_hash: str
    address: str
    grant: str
    """Digest of what the person was granted at the login. Another grant ends the session."""
    began_at: float
    ends_at: float
    client: str


@dataclass(frozen=True, slots=True)
class Change:
    """A row of the audit trail: a person changed something, or logged in. Secrets are never in it."""

    id: str
    at: float
    person: str
    action: str
    """Such as "queue.hold"."""
    subject: str = ""
    before: str = ""
    after: str = ""
    client: str = ""


@dataclass(frozen=True, slots=True)
class ChangeQuery:
    """A filter of the audit trail; empty fields match everything. `before` is time and id of the last row of a page."""

    person: str = ""
    action: str = ""
    """An action, or its first part, such as "queue"."""
    subject: str = ""
    since: float = 0.0
    before: tuple[float, str] | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class Plan:
    """An action that a person was shown with the number of rows it touches: exactly these, and once."""

    id: str
    token_hash: str
    """Session of the person."""
    action: str
    detail: Mapping[str, str]
    """What the page says about it, such as the filter."""
    keys: Sequence[str]
    made_at: float


class AccountStore(Protocol):
    """Keeps accounts, for all nodes."""

    async def account(self, address: str) -> Account | None:
        """Return the account of a person, None if there is none yet."""

    async def accounts(self) -> Sequence[Account]:
        """Return all accounts, by address."""

    async def set_password(self, before: Account, password_hash: str, code_mark: str) -> bool:
        """Set a password in the place of the one before. False if that was changed meanwhile."""

    async def set_totp(self, address: str, sealed: str, step: int) -> None:
        """Set the secret of an app, whose code of that step was used; "" removes it."""

    async def use_totp(self, address: str, step: int, sealed: str = "") -> bool:
        """Use the code of a step. False if it or a later one was used before. `sealed` replaces the secret."""

    async def forget(self, address: str) -> None:
        """Delete the account of a person."""

    async def note_login(self, address: str, now: float, network: str) -> None:
        """Note the last login."""


class SessionStore(Protocol):
    """Keeps sessions and failed logins, for all nodes."""

    async def begin(self, session: Session, former: str) -> None:
        """Store a session, and delete the one of the browser before, by the hash of its token."""

    async def find(self, token_hash: str, now: float) -> tuple[Session, Account | None] | None:
        """Return a session that has not ended, with the account of its person."""

    async def end(self, token_hash: str) -> None:
        """End a session."""

    async def end_all(self, address: str, but: str = "") -> int:
        """End the sessions of a person, but the one with that hash; return their number."""

    async def sessions(self, now: float) -> Sequence[Session]:
        """Return the sessions that have not ended, latest first."""

    async def attempt(self, keys: Sequence[str], now: float) -> float:
        """Count an attempt for each key as failed, and return 0; or return the seconds until the next one may come."""

    async def succeeded(self, keys: Sequence[str]) -> None:
        """Forget the failures of these keys."""

    async def purge(self, now: float) -> None:
        """Delete ended sessions, old failures and old plans."""

    async def keep_plan(self, plan: Plan) -> None:
        """Store a plan."""

    async def plan(self, plan_id: str, token_hash: str, since: float) -> Plan | None:
        """Return the plan of a session that was made since that time, None if there is none."""

    async def take_plan(self, plan_id: str, token_hash: str, since: float) -> Plan | None:
        """Return such a plan and delete it, so that it is carried out once."""


class ChangeStore(Protocol):
    """Keeps the audit trail of what people changed."""

    async def record(self, changes: Sequence[Change]) -> None:
        """Add rows."""

    async def changes(self, query: ChangeQuery) -> Sequence[Change]:
        """Return the rows of a query, latest first."""

    async def purge(self, before: float) -> int:
        """Delete rows from before that time; return their number."""
