"""Passwords of a form that is shown again, encrypted for that login, so that they need not be typed twice.

No page shows one. What a form carries opens for the same login only, and for a quarter of an hour.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aiohttp import web

from relay.clock import Clock
from relay.console.login import signed_in_of
from relay.oauth.sealing import NONCE, Key, SealError, seal, unseal

KEPT = 900.0
"""Seconds for which a password is kept."""

MAX_TEXT = 4096
"""Characters of a password and of what a form carries, at most."""


@dataclass(frozen=True, slots=True)
class KeptSecrets:
    """Encrypts passwords with the tracker key."""

    keys: Callable[[], Sequence[Key]]
    clock: Clock

    def keep(self, request: web.Request, secret: str) -> str:
        """Return what a form carries for a password, "" for none."""
        if not secret or len(secret) > MAX_TEXT // 2:
            return ""
        return seal(f"{self.clock() + KEPT:.0f} {secret}", _purpose(request), self.keys()[0], os.urandom(NONCE))

    def opened(self, request: web.Request, carried: str) -> str:
        """Return the password, "" if it was kept for another login, or too long ago."""
        if not carried or len(carried) > MAX_TEXT:
            return ""
        try:
            until, _, secret = unseal(carried, _purpose(request), self.keys()).partition(" ")
        except SealError:
            return ""
        return secret if float(until) > self.clock() else ""


def _purpose(request: web.Request) -> str:
    return f"console {signed_in_of(request).token_hash}"
