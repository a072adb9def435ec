"""Verification by the owners of addresses, over the pages of the tracker: people without access to the relay.

The page is public, so its answers do not depend on what is known of an address. A code is sent in the background: its
request takes the same time for all addresses. Codes go to listed identities only, so that the page cannot be used to
send mail to strangers.
"""

import asyncio
from collections.abc import Callable

from relay.events.ports import StoreError
from relay.limits.quota import Quota, TooMany, subject_of
from relay.mail.canonical_address import domain_of
from relay.tracker.ports import CodeTerms, Confirmation, TooManyRequests, WrongCode
from relay.verification.challenge import DIGITS, LIFETIME, PAGE_PER_HOUR, TRIES, Challenge, Confirmed
from relay.verification.codes import CodeStep, confirm_link, entering, pending_link
from relay.verification.verifier import Verifier

CLIENT_PER_HOUR = 10
"""Codes that a client may ask for within an hour."""

CLIENT_TRIES = CLIENT_PER_HOUR * TRIES
"""Codes that a client may try within an hour."""

MAX_PENDING = 100
"""Codes asked for and not sent yet, at most."""

FULL_PAUSE = 60.0
"""Seconds after which one may ask again while MAX_PENDING codes are not sent yet."""


class OwnerVerification:
    """Implements `relay.tracker.ports.AddressVerification`."""

    def __init__(self, verifier: Verifier, on_error: Callable[[StoreError], None]) -> None:
        self._verifier = verifier
        self._tools = verifier.tools
        self._on_error = on_error
        self._asked: asyncio.Queue[str] = asyncio.Queue(MAX_PENDING)

    def terms(self) -> CodeTerms | None:
        """Return the terms of codes, None if the page is switched off."""
        settings = self._tools.settings()
        if not settings.verification.page:
            return None
        return CodeTerms(DIGITS, LIFETIME, TRIES, PAGE_PER_HOUR, settings.server.identities_domain)

    async def pending(self, queue_id: str) -> Confirmation | None:
        """Return what the link of that mail confirms or has confirmed, None if it is too old."""
        challenge = await pending_link(self._tools, queue_id)
        return _confirmation(challenge) if challenge else None

    async def confirm_link(self, queue_id: str) -> Confirmation | None:
        """Confirm by the link of that mail; None if it is too old."""
        challenge = await confirm_link(self._tools, queue_id)
        if challenge is None:
            return None
        done = _confirmation(challenge)
        await self._passed("sender" if done.verifies else "receiving", done.address, queue_id)
        return done

    async def request_code(self, address: str, client: str) -> TooManyRequests | None:
        """Have a code sent to an address, if it is a listed identity. The result does not depend on that."""
        now = self._tools.clock()
        if self._asked.full():
            return TooManyRequests(now + FULL_PAUSE)
        quotas = [
            self._quota("codes to address", address, PAGE_PER_HOUR),
            self._quota("codes of client", client, CLIENT_PER_HOUR),
        ]
        spent = await self._tools.store.spend(quotas, now)
        if isinstance(spent, TooMany):
            return TooManyRequests(spent.again_at)
        if self._asked.full():
            return TooManyRequests(now + FULL_PAUSE)
        self._asked.put_nowait(address)
        return None

    async def enter_code(self, address: str, code: str, client: str) -> Confirmation | WrongCode | TooManyRequests:
        """Try a code."""
        now = self._tools.clock()
        quota = self._quota("tries of client", client, CLIENT_TRIES)
        tried = await self._tools.store.decide_within([quota], now, address, entering(self._tools, address, code))
        if isinstance(tried, TooMany):
            return TooManyRequests(tried.again_at)
        step, answer = tried
        if not isinstance(answer, Confirmed):
            return WrongCode()
        await self._passed(step, address)
        return Confirmation(address, answer.sent_to, now)

    async def run(self) -> None:
        """Send the codes that were asked for, until cancelled."""
        while True:
            address = await self._asked.get()
            if not self._may_get_code(address):
                continue
            try:
                await self._verifier.prove(address, PAGE_PER_HOUR)
            except StoreError as error:
                self._on_error(error)

    def _may_get_code(self, address: str) -> bool:
        """Whether an address is listed, and not verified by the DNS of the operator's own domain instead."""
        settings = self._tools.settings()
        is_dns_proven = domain_of(address) == settings.server.identities_domain
        return settings.identity_for(address) is not None and not is_dns_proven

    def _quota(self, purpose: str, name: str, limit: int) -> Quota:
        return Quota(subject_of(self._tools.keyring().keys[0][1], purpose, name), limit)

    async def _passed(self, step: CodeStep, address: str, queue_id: str = "") -> None:
        await self._verifier.proven.load()
        self._verifier.log("identity.verified", identity=address, step=step, state="passed", queue_id=queue_id)


def _confirmation(challenge: Challenge) -> Confirmation:
    return Confirmation(challenge.identity, challenge.sent_to, challenge.confirmed_at)
