"""Accepts messages of submission listeners: the steps between the final dot and 250.

A message answered with 250 is on disk. Any other reply leaves nothing stored.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import assert_never

from relay.clock import Clock
from relay.config.settings import Settings
from relay.events.ports import Publish, StoreError
from relay.limits.ports import LimitStore
from relay.mail.canonical_address import canonical
from relay.mail.headers import body_start
from relay.mail.instructions import InstructionError
from relay.mail.lane import SIMULATOR
from relay.mail.reply import Reply
from relay.mail.transaction import Envelope, Recipient, Session, Transaction
from relay.policy.decide import Acceptance, Rejection, exclusion_scope
from relay.policy.decision_cache import DecisionCache
from relay.policy.dialect_rules import dialect_context, dialect_rules
from relay.policy.message_facts import MessageFacts, parse_facts
from relay.policy.refusals import is_own_sender, refuse_relaying, refuse_sender, refuse_unverified
from relay.queue.message import Message, NewMessage, Origin, SubmissionKey
from relay.queue.pause import Pause
from relay.queue.ports import RepeatedError
from relay.queue.routing import Route
from relay.submission.build import build_message, fields_to_add
from relay.submission.idempotency import LARGE, UNDER_WAY, Repeated, Submissions, submission_key
from relay.submission.reserve import reserve_slots, waiting_for_probation
from relay.submission.sandbox import always_suppressed, simulate
from relay.submission.spam import SpamFilter, SpamResult, Unchecked, refuse_for_now, spam_request
from relay.suppression.exclusion import Excluded, Exclusion, ExclusionScope

LARGE_HEADER = 4 * 1024
"""Octets. A larger header is read in a thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionHandler:
    """Puts the messages of submission listeners into the queue (`relay.smtp.context.MessageHandler`)."""

    settings: Callable[[], Settings]
    enqueue: Callable[[NewMessage], Awaitable[None]]
    """Stores a message, and has the queue runner send it. Raises StoreError."""
    limits: LimitStore
    exclusion: Exclusion
    clock: Clock
    new_id: Callable[[float], str]
    publish: Publish
    is_proven: Callable[[str], bool]
    """Whether an address, or its domain, is verified."""
    identity_pause: Callable[[str], Pause | None]
    """Returns the pause of an identity, by its canonical address."""
    origin: Origin = ""
    """What marks its messages as mail of the relay itself."""
    spam: SpamFilter | None = None
    decisions: DecisionCache = field(default_factory=DecisionCache)
    submissions: Submissions | None = None
    """The submissions with an idempotency key; None ignores such keys."""

    def check_mail(self, session: Session, envelope: Envelope) -> Reply | None:
        """Refuse clients that may not relay, and reverse-paths the credential may not use."""
        settings = self.settings()
        return refuse_relaying(settings, session) or refuse_sender(settings, session, envelope.reverse_path)

    def check_recipient(self, session: Session, envelope: Envelope, recipient: Recipient) -> Reply | None:
        """Accept every address: only the server of its domain can say whether it exists."""
        del session, envelope, recipient
        return None

    async def accept_message(self, transaction: Transaction) -> Reply:
        """Queue the message; 250 when it is durable, else the refusal. Raises StoreError when it cannot be stored."""
        match await self.accept(transaction):
            case Reply() as refusal:
                return refusal
            case NewMessage(message=Message(queue_id=queue_id)) | Repeated(queue_id):
                return Reply(250, "2.0.0", f"Ok: queued as {queue_id}")
            case never:
                assert_never(never)

    async def accept(self, transaction: Transaction) -> NewMessage | Repeated | Reply:
        """Queue the message, and return it when it is durable; else the refusal. Raises StoreError.

        With an idempotency key that was used for the same message, nothing is queued.
        """
        settings, now = self.settings(), self.clock()
        if has_large_header(transaction.content):
            decided = await asyncio.to_thread(self._decide, settings, transaction, now)
        else:
            decided = self._decide(settings, transaction, now)
        if isinstance(decided, Reply):
            return decided

        facts, decision = decided
        text = facts.instructions.idempotency_key
        if not text or self.submissions is None:
            return await self._accept(transaction, facts, decision, now)
        if len(transaction.content) > LARGE:
            key = await asyncio.to_thread(submission_key, transaction, text, now)
        else:
            key = submission_key(transaction, text, now)
        with self.submissions.begin(key) as is_new:
            if not is_new:
                return UNDER_WAY
            earlier = await self.submissions.earlier(key)
            if earlier is not None:
                return earlier
            try:
                return await self._accept(transaction, facts, decision, now, key)
            except RepeatedError:  # Another node stored it meanwhile.
                return await self.submissions.earlier(key) or UNDER_WAY

    def _decide(
        self, settings: Settings, transaction: Transaction, now: float
    ) -> tuple[MessageFacts, Acceptance] | Reply:
        """Return the facts of the message and the decisions about it, or its refusal."""
        session, envelope, content = transaction.session, transaction.envelope, transaction.content
        rules = dialect_rules(settings, session.credential)
        context = partial(dialect_context, settings, session, envelope, content, now)
        try:
            facts = parse_facts(content, rules, context, transaction.instructions)
        except InstructionError as error:
            return Reply(554, "5.6.0", str(error))
        decided = self.decisions.decide(settings, session, envelope, facts, now)
        return decided.reply if isinstance(decided, Rejection) else (facts, decided)

    async def _accept(
        self,
        transaction: Transaction,
        facts: MessageFacts,
        decision: Acceptance,
        now: float,
        key: SubmissionKey | None = None,
    ) -> NewMessage | Reply:
        """Queue a message that the policy accepted."""
        settings = self.settings()
        transaction = with_copies(transaction, facts.instructions.copies)
        transaction, decision = simulate(transaction, decision, settings.simulator.words)
        refused = refuse_unverified(settings, facts, self.is_proven) or refuse_paused(self._pause(facts, decision))
        if refused is not None:
            return refused

        queue_id = self.new_id(now)
        checked = None
        if self.spam is not None and self._is_checked(decision):
            added = fields_to_add(queue_id, transaction, facts, decision, settings.server.hostname, now)
            request = spam_request(queue_id, transaction, added, settings.server.hostname)
            checked = await self.spam.check(request)
        delayed = refuse_for_now(checked, fail_closed=settings.spam.fail == "closed")
        if delayed is not None:
            return delayed

        path = transaction.envelope.reverse_path
        if path and not is_own_sender(settings, path, facts.senders or (path,)):
            # SPF or DKIM may prove it; DNS is asked when a notification is due.
            decision = replace(decision, policy=replace(decision.policy, unproven_sender=True))
        accepted = await self._enqueue(queue_id, transaction, facts, decision, checked, now, key)
        if isinstance(accepted, NewMessage):
            self.publish(accepted.events)
        return accepted

    def _pause(self, facts: MessageFacts, decision: Acceptance) -> Pause | None:
        """Return the pause of an identity that the message names as author or sender; None for tests of the relay."""
        if self.origin:
            return None
        named = (decision.policy.identity, *map(canonical, (*facts.senders, *facts.agents)))
        return next(filter(None, map(self.identity_pause, named)), None)

    def _is_checked(self, decision: Acceptance) -> bool:
        """Whether the spam filter checks the message, if there is one."""
        spam = self.settings().spam
        return spam.is_on and not self.origin and (spam.senders == "all" or not decision.policy.identity)

    async def _enqueue(
        self,
        queue_id: str,
        transaction: Transaction,
        facts: MessageFacts,
        decision: Acceptance,
        checked: SpamResult | Unchecked | None,
        now: float,
        key: SubmissionKey | None,
    ) -> NewMessage | Reply:
        """Reserve slots for the recipients that are not excluded, and store the message; return it, or its refusal."""
        settings, recipients = self.settings(), transaction.envelope.recipients
        scope = exclusion_scope(settings, decision.policy, facts.instructions.campaign)
        addresses = [*[one.address for one in recipients], *decision.bcc]
        found = _excluded_by_content(checked, decision, addresses)
        if found is None:
            found = await self._find_excluded(queue_id, addresses, scope, decision, now)
        excluded = {**found.reasons, **_copies_on_probation(found, decision.bcc)}
        numbers = [n for n, one in enumerate(recipients) if not excluded or canonical(one.address) not in excluded]
        earliest = max(now, decision.not_before)

        try:
            routes = await self._reserve(queue_id, numbers, decision, earliest)
            latest = max([route.at for route in routes.values()], default=earliest)
            if latest > earliest + settings.queue.lifetime:
                await self.limits.release(queue_id, numbers)
                return _over_limit(decision, latest, now)
            routes = waiting_for_probation(routes, recipients, found, now)
            accepted = build_message(
                queue_id, transaction, facts, decision, routes, excluded, settings, now, self.origin, checked
            )
            accepted = accepted if key is None else replace(accepted, key=key)
            await self.enqueue(accepted)
        except StoreError:
            await self.limits.release(queue_id, numbers)
            raise
        return accepted

    async def _find_excluded(
        self, queue_id: str, addresses: Sequence[str], scope: ExclusionScope, decision: Acceptance, now: float
    ) -> Excluded:
        """Return the addresses that the lists exclude, and those of the simulator that are always suppressed."""
        words, is_sandbox = self.settings().simulator.words, decision.policy.sandbox or bool(decision.deliver_to)
        simulated = [one for one in addresses if words.answers(one, sandbox=True)]
        if not simulated:
            return await self.exclusion.check(addresses, scope, queue_id, now, due=not decision.not_before)
        listed = [one for one in addresses if not words.always_answers(one)]
        found = await self.exclusion.check(listed, scope, queue_id, now, due=not decision.not_before)
        if suppressed := always_suppressed(words, addresses, sandbox=is_sandbox):
            return replace(found, reasons={**found.reasons, **suppressed})
        return found

    async def _reserve(
        self, queue_id: str, numbers: Sequence[int], decision: Acceptance, earliest: float
    ) -> Mapping[int, Route]:
        """Reserve slots: for recipients of the simulator those of the sender alone, in no limit of a provider."""
        if not decision.policy.simulated:
            return await reserve_slots(self.limits, queue_id, numbers, decision.limits, earliest)
        simulated = [number for number in numbers if number in decision.policy.simulated]
        others = [number for number in numbers if number not in decision.policy.simulated]
        routes = await reserve_slots(self.limits, queue_id, others, decision.limits, earliest)
        limits = {SIMULATOR: decision.simulator_limits}
        return {**routes, **await reserve_slots(self.limits, queue_id, simulated, limits, earliest)}


def has_large_header(content: bytes) -> bool:
    """Whether the header is read in a thread: reading it would delay other clients."""
    return body_start(content, 0, min(len(content), LARGE_HEADER + 1)) > LARGE_HEADER


def refuse_paused(pause: Pause | None) -> Reply | None:
    """Refuse mail of a paused identity with 451; None without a pause, and for one that only holds mail back."""
    if pause is None or not pause.is_refusing:
        return None
    what = f"<{pause.identity}> is paused: {pause.why}"
    return Reply(451, "4.7.1", f"{what}; an operator must resume it: relay identity resume {pause.identity}")


def _excluded_by_content(
    checked: SpamResult | Unchecked | None, decision: Acceptance, addresses: Sequence[str]
) -> Excluded | None:
    """Return all addresses as excluded from spam, none from mail that ignores lists. None if the lists decide."""
    if isinstance(checked, SpamResult) and checked.verdict == "spam":
        return Excluded({canonical(one): checked.reason for one in addresses})
    return Excluded({}) if decision.policy.ignores_lists else None


def with_copies(transaction: Transaction, copies: Sequence[str]) -> Transaction:
    """Return the transaction with the addresses that its header asks to copy as recipients, without notifications.

    Each takes a slot as any other recipient, so that a header sends no more than an envelope could.
    """
    if not copies:
        return transaction
    given = transaction.envelope.recipients
    addressed = {canonical(one.address) for one in given}
    added = {canonical(one): Recipient(one, ("NEVER",)) for one in copies if canonical(one) not in addressed}
    if not added:
        return transaction
    return replace(transaction, envelope=replace(transaction.envelope, recipients=(*given, *added.values())))


def _copies_on_probation(found: Excluded, bcc: Sequence[str]) -> dict[str, str]:
    """Return why copies to addresses that another message tests are dropped, by canonical address."""
    if not found.testers:
        return {}
    tested = (one for one in map(canonical, bcc) if one in found.testers)
    return {one: f"suppressed: {found.testers[one]} tests the address" for one in tested}


def _over_limit(accepted: Acceptance, release_at: float, now: float) -> Reply:
    who = accepted.policy.identity or next(key for ledgers in accepted.limits.values() for key in ledgers)
    hours = (release_at - now) / 3600
    return Reply(
        451,
        "4.7.1",
        f"Sending limit of {who} is used up for longer than the queue keeps mail ({hours:.0f} h): try again later",
    )
