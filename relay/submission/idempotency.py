"""Submissions with an idempotency key: a repetition is answered as the first one, and not stored again."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice

from relay.mail.canonical_address import canonical
from relay.mail.headers import fields, without
from relay.mail.instructions import Statement
from relay.mail.reply import Reply
from relay.mail.trace_context import TRACEPARENT
from relay.mail.transaction import Session, Transaction
from relay.queue.message import SubmissionKey
from relay.submission.ports import FirstSubmission, SubmissionStore

KEPT = 24 * 3600.0
"""Seconds for which a key is valid."""

UNDER_WAY = Reply(450, "4.3.0", "A submission with this idempotency key is under way: try again soon")

OTHER_MESSAGE = Reply(
    554,
    "5.6.0",
    "This idempotency key was used for another message: use a new key for each message, the same for retries",
)

_CHANGING = (b"date", b"message-id", b"received", b"dkim-signature", TRACEPARENT.encode(), b"tracestate")
"""Fields that differ when an application makes the same message again."""

_BOUNDARY = re.compile(rb'boundary="?([^";\r\n]{6,70})', re.IGNORECASE)
"""What may be a boundary of parts. A random one, which a repetition has not, is not shorter."""

_MAX_BOUNDARIES = 20
"""Boundaries that are left out, at most: each takes a pass over the message."""

LARGE = 64 * 1024
"""Octets. The digest of a larger message is made in a thread."""


@dataclass(frozen=True, slots=True)
class Repeated:
    """A submission that was accepted before, as this message."""

    queue_id: str


def submission_key(transaction: Transaction, key: str, now: float) -> SubmissionKey:
    """Return the key of a submission. The text of the key is not stored."""
    return SubmissionKey(
        owner=owner_of(transaction.session),
        key_hash=_digest(b"key", [key.encode()]),
        request=request_digest(transaction),
        valid_since=now - KEPT,
    )


def owner_of(session: Session) -> str:
    """Return whose keys are compared: a credential, or a client that needs none."""
    return session.credential or f"[{session.client}]"


def request_digest(transaction: Transaction) -> str:
    """Return a digest of what is submitted: equal if an application makes the same message again.

    Time, Message-ID, the trace of the request and the boundaries of parts may differ.
    """
    envelope, content = transaction.envelope, transaction.content
    recipients = sorted({canonical(one.address) for one in envelope.recipients})
    header = fields(content)
    kept = without(content, [one for one in header if one.name in _CHANGING])
    boundaries = {found[1] for found in islice(_BOUNDARY.finditer(kept), _MAX_BOUNDARIES)}
    for boundary in sorted(boundaries, key=lambda one: (len(one), one), reverse=True):
        kept = kept.replace(boundary, b"")
    asked = [repr((one.content, one.key)).encode() for one in _repeated(transaction.instructions)]
    return _digest(
        b"request", [*(one.encode() for one in (transaction.request, envelope.reverse_path, *recipients)), *asked, kept]
    )


def _repeated(given: Sequence[Statement]) -> Iterator[Statement]:
    """Return what a repetition has again: not the key, and not the trace, which each request has of its own."""
    return (one for one in given if getattr(one.content, "name", "") not in ("idempotency_key", TRACEPARENT))


def _digest(kind: bytes, parts: Sequence[bytes]) -> str:
    made = blake2b(digest_size=16, person=b"relay." + kind)
    for part in parts:
        made.update(len(part).to_bytes(8, "big"))
        made.update(part)
    return made.hexdigest()


@dataclass(frozen=True, slots=True)
class Submissions:
    """The submissions with a key: those under way in this process, and those in the store."""

    store: SubmissionStore
    _under_way: set[tuple[str, str]] = field(default_factory=set)

    @contextmanager
    def begin(self, key: SubmissionKey) -> Iterator[bool]:
        """Begin a submission; False if one with this key is under way."""
        name = (key.owner, key.key_hash)
        if name in self._under_way:
            yield False
            return
        self._under_way.add(name)
        try:
            yield True
        finally:
            self._under_way.discard(name)

    async def earlier(self, key: SubmissionKey) -> Repeated | Reply | None:
        """Return the message that was accepted with this key, or the refusal of another one; None for a new key.

        Raises StoreError.
        """
        first: FirstSubmission | None = await self.store.first(key.owner, key.key_hash, key.valid_since)
        if first is None:
            return None
        return Repeated(first.queue_id) if first.request == key.request else OTHER_MESSAGE
