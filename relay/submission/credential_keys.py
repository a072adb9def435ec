"""Checks secrets, and keeps when each was last used and which are revoked, in memory and in the store."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass

from relay.clock import Clock
from relay.config.credentials import Cost, parse_key
from relay.config.settings import Settings
from relay.events.ports import StoreError
from relay.mail.reply import Reply
from relay.submission.ports import CredentialKeyStore, KeyUse

REFRESH = 3.0
"""Seconds between two reads of revocations, which find those of other nodes."""

PRECISION = 60.0
"""Seconds between two writes of the last use of a key."""

REVOKED = Reply(421, "4.7.0", "The credential of this session was revoked")


@dataclass(frozen=True, slots=True)
class Authenticated:
    """The credential whose secret was given, and the fingerprint of the hash."""

    credential: str
    key: str


class CredentialKeys:
    """The keys of all credentials: their last uses, and those that are revoked."""

    def __init__(self, store: CredentialKeyStore | None, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._revoked: frozenset[str] = frozenset()
        self._written: dict[str, float] = {}
        self._unwritten: dict[str, KeyUse] = {}

    async def authenticate(self, settings: Settings, username: str, secret: str) -> Authenticated | None:
        """Return the credential that has the secret, None if there is none.

        The time of a refusal does not depend on the name. The hashes are computed in a thread, because slow
        ones (scrypt) would delay other clients.
        """
        found = await asyncio.to_thread(find_credential, settings, username, secret, self._revoked)
        if found is not None:
            self._note(found)
        return found

    def refusal(self, key: str) -> Reply | None:
        """Return the refusal of a session that authenticated with a key that is revoked since."""
        return REVOKED if key in self._revoked else None

    async def keep_fresh(self, failed: Callable[[StoreError], None]) -> None:
        """Write last uses and read revocations again and again, until cancelled."""
        while True:
            try:
                await self.refresh()
            except StoreError as error:
                failed(error)
            await asyncio.sleep(REFRESH)

    async def refresh(self) -> None:
        """Write the last uses, and read the revocations. Raises StoreError; then the uses are kept."""
        if self._store is None:
            return
        uses = list(self._unwritten.values())
        if uses:
            await self._store.note_uses(uses)
            for one in uses:
                self._written[one.key] = one.used_at
                if self._unwritten.get(one.key) is one:
                    del self._unwritten[one.key]
        # A revocation lasts. One that was written since the read must not be lost by it.
        found = frozenset(one.key for one in await self._store.keys() if one.revoked_at)
        self._revoked |= found

    async def uses(self) -> dict[str, KeyUse]:
        """Return what is known of each key, by its fingerprint. Raises StoreError."""
        await self.refresh()
        return {} if self._store is None else {one.key: one for one in await self._store.keys()}

    async def revoke(self, credential: str, keys: Collection[str]) -> None:
        """Revoke keys, here at once and on other nodes within seconds. Raises StoreError."""
        assert self._store is not None
        now = self._clock()
        await self._store.revoke([KeyUse(key, credential, revoked_at=now) for key in keys])
        self._revoked |= frozenset(keys)

    def _note(self, found: Authenticated) -> None:
        now = self._clock()
        if now >= self._written.get(found.key, 0.0) + PRECISION:
            self._unwritten[found.key] = KeyUse(found.key, found.credential, used_at=now)


def find_credential(
    settings: Settings, username: str, secret: str, revoked: Collection[str] = ()
) -> Authenticated | None:
    """Return the credential of that name, or the one that a key names, if it has this secret; else None.

    A refusal computes as many hashes of each cost in use for every name.
    """
    if settings.any_login:
        return Authenticated(settings.any_login, "")
    named, key = parse_key(secret)
    name = username if username in settings.credentials else named
    credential = settings.credentials.get(name)
    computed: Counter[Cost] = Counter()
    for mark, parsed in credential.hashes() if credential else ():
        computed[parsed.cost] += 1
        if (parsed.matches(secret) or (key != secret and parsed.matches(key))) and mark not in revoked:
            return Authenticated(name, mark)

    for cost, (count, other) in settings.hashes_by_cost.items():
        for _ in range(count - computed[cost]):
            other.matches(key)
    return None
