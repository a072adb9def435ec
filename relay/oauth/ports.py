"""What OAuth2 needs of the store and of the HTTP client."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from relay.oauth.token_requests import Form
from relay.oauth.token_responses import Grant, Refusal

TIMEOUT = 30.0
"""Seconds for one request to a token endpoint."""


@dataclass(frozen=True, slots=True)
class StoredToken:
    """A refresh token, sealed. `version` grows with each change. `logged_in_at` is Unix seconds."""

    name: str
    sealed: str = field(repr=False)
    version: int
    logged_in_at: float


class RefreshTokenStore(Protocol):
    """Keeps the refresh tokens of accounts for all nodes. All methods raise StoreError."""

    async def tokens(self) -> Sequence[StoredToken]:
        """Return all tokens, by name."""

    async def find(self, name: str) -> StoredToken | None:
        """Return the token of an account, None if there is none."""

    async def lease(self, name: str, holder: str, now: float, until: float) -> StoredToken | None:
        """Reserve the token for one node, and return it; None if there is none or another node has it reserved."""

    async def rotate(self, taken: StoredToken, sealed: str) -> bool:
        """Put a new token in the place of the one that was taken, and end its reservation.

        Return False if the token was changed since: then nothing is written.
        """

    async def release(self, name: str, holder: str) -> None:
        """End the reservation of a node."""

    async def put(self, name: str, sealed: str, now: float) -> None:
        """Store the token of a login, in the place of any other."""

    async def delete(self, name: str) -> bool:
        """Delete the token of an account; return whether there was one."""


class RequestToken(Protocol):
    """Posts a form to a URL, and returns the answer. Never raises for what the network or the endpoint does."""

    async def __call__(self, url: str, form: Form) -> Grant | Refusal:
        """Return the token, or why there is none."""
