"""Dependencies of the verification steps, and helpers they share."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from relay.clock import Clock
from relay.config.settings import Settings
from relay.domains.mail_exchanger import MailExchangers
from relay.limits.quota import Quota, subject_of
from relay.mail.address import is_ascii
from relay.mail.canonical_address import canonical
from relay.mail.reply import Reply
from relay.mail.transaction import Envelope, Recipient, Session, Transaction
from relay.reports.ports import MessageQuery, Story, StoryStore
from relay.reports.serialize import time_json
from relay.resolver import Lookups
from relay.rewrite.tokens import Keyring
from relay.submission.accept import SubmissionHandler
from relay.verification.challenge import DIGITS
from relay.verification.ports import VerificationStore

T = TypeVar("T")

Submit = Callable[[str, Transaction], Awaitable[Reply]]
"""Accepts a mail under the given queue id, as if an application had sent it. Raises StoreError."""

STEP_TIMEOUT = 60.0
"""Seconds to wait for a mail to arrive."""

TEST_RECIPIENTS = 20
"""Recipients of the mail of one test, at most."""

TESTS = 60
"""Mails of tests of one identity within an hour, at most."""

TESTS_EACH = 10
"""Mails of tests that one address gets within an hour, at most."""

_PAUSE = 0.2
"""Seconds between two polls of the store."""


@dataclass(frozen=True, slots=True)
class VerificationContext:
    """Dependencies of the verification steps."""

    settings: Callable[[], Settings]
    keyring: Callable[[], Keyring]
    store: VerificationStore
    stories: StoryStore
    resolver: Callable[[], Lookups]
    """Creates a resolver without a cache, so that records published just now are found."""
    exchangers: MailExchangers
    forget_dns: Callable[[], None]
    """Clears the DNS cache of delivery: a test often follows a change of DNS records."""
    clock: Clock
    new_id: Callable[[float], str]
    submit: Submit
    random_number: Callable[[], int] = lambda: secrets.randbelow(10**DIGITS)
    random_bytes: Callable[[int], bytes] = secrets.token_bytes

    async def send(self, queue_id: str, identity: str, recipients: tuple[str, ...], content: bytes) -> Reply:
        """Submit a mail of the identity as an application does, with a credential that may use it."""
        settings = self.settings()
        known = settings.identity_for(identity)
        credential = known.credentials[0] if known and known.credentials else ""
        session = Session(
            "verification", "submission", "127.0.0.1", settings.server.hostname, extended=True, credential=credential
        )
        smtputf8 = not (is_ascii(identity) and all(map(is_ascii, recipients)))
        to = tuple(Recipient(one, ("NEVER",)) for one in recipients)
        envelope = Envelope(identity, to, "8BITMIME", smtputf8=smtputf8)
        return await self.submit(queue_id, Transaction(session, envelope, content))

    async def send_test(self, queue_id: str, identity: str, recipients: tuple[str, ...], content: bytes) -> Reply:
        """Submit a mail of a test. Its recipients are any: how many get how many within an hour is bounded."""
        others = tuple(dict.fromkeys(map(canonical, recipients)))
        if len(others) > TEST_RECIPIENTS:
            return Reply(554, "5.5.3", f"{len(others)} recipients; a test has at most {TEST_RECIPIENTS}")
        key = self.keyring().keys[0][1]
        quotas = [Quota(subject_of(key, "tests sent to", one), TESTS_EACH) for one in others]
        quotas.append(Quota(subject_of(key, "tests of", canonical(identity)), TESTS))
        spent = await self.store.spend(quotas, self.clock())
        if spent is not None:
            again = time_json(spent.again_at)
            return Reply(
                450, "4.7.1", f"{TESTS} tests of an identity an hour, {TESTS_EACH} to an address: again at {again}"
            )
        return await self.send(queue_id, identity, recipients, content)

    async def story(self, queue_id: str) -> Story | None:
        """Return the message with its entries and events, None when it is not stored."""
        stories = await self.stories.stories(MessageQuery(queue_id=queue_id))
        return stories[0] if stories else None


def readers_of(settings: Settings, identity: str) -> tuple[str, ...]:
    """Return the addresses whose mail is read for the identity: `forward_to`, else its own."""
    known = settings.identity_for(identity)
    return known.forward_to if known and known.forward_to else (identity,)


async def poll_until(look: Callable[[], Awaitable[T]], done: Callable[[T], bool], timeout: float = STEP_TIMEOUT) -> T:
    """Poll until `done` or until `timeout` seconds are over; return the last result."""
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout
    while True:
        seen = await look()
        if done(seen) or loop.time() >= end:
            return seen
        await asyncio.sleep(_PAUSE)


def submit_as(handler: SubmissionHandler) -> Submit:
    """Return a function that submits mail under a given queue id, without the check that its author is verified."""

    async def submit(queue_id: str, transaction: Transaction) -> Reply:
        unchecked = replace(handler, new_id=lambda _: queue_id, is_proven=lambda _: True, origin="test")
        return await unchecked.accept_message(transaction)

    return submit
