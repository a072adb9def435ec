"""Delivers the entries of a job to the servers of its lane: `SmtpDelivery`, and one attempt of it."""

import time
from collections.abc import Callable, Collection, Sequence

from relay.clock import Clock
from relay.config.settings import Settings
from relay.delivery.commands import build_commands, message_fault, recipient_fault
from relay.delivery.connect import Connect, TlsContexts, connect
from relay.delivery.mx import MAX_HOSTS
from relay.delivery.next_hop import BuiltIn, Domain, NextHopResolver, parse_lane
from relay.delivery.pool import HeldSlot, LaneTarget, OtherSite, Pool
from relay.delivery.session import LEASE_ENDED, Session
from relay.delivery.transaction import TransactionReplies
from relay.mail.reply import Reply
from relay.mail.transaction import MAX_RECIPIENTS
from relay.oauth.tokens import AccessTokens
from relay.queue.context import INTERNAL_ERROR, ErrorBoundary
from relay.queue.nodes import full_share
from relay.queue.outcome import Deferred, Delivered, Outcome, Phase, Refused
from relay.queue.ports import DeliveryJob, DeliveryJournal, JournalRecord, QueueObserver, Rendered
from relay.resolver import Resolver

_NEEDS_TLS = Reply(451, "4.7.10", "the application requires TLS for this message, and the server has none")
"""Reply of our own for a message that must not leave in clear text (status of RFC 7817)."""

_ASK_NEXT_AFTER: Collection[Phase] = ("mail", "rcpt", "data")
"""Phases of a temporary failure after which the next host is asked. Failures before them concern the connection."""

MAX_SITES = 5
"""Times that a job takes the slot of another site because DNS changed, at most."""

NEVER_MIXED = Deferred(Reply(451, "4.3.5", "simulated mail leaves for no server, and other mail is not simulated"))

SITES_DIFFER = Deferred(Reply(451, "4.4.3", "the mail exchangers of the domain differ at each look at DNS"))


class DeliveryAttempt:
    """One attempt to deliver the entries of a job by a lane."""

    def __init__(
        self,
        pool: Pool,
        lane_target: LaneTarget,
        job: DeliveryJob,
        *,
        journal: DeliveryJournal,
        observer: QueueObserver,
        clock: Clock,
    ) -> None:
        self._pool = pool
        self._lane_target = lane_target
        self._job = job
        self._journal = journal
        self._observer = observer
        self._clock = clock
        self.is_elsewhere = False
        """Whether the last run ended because the domain leads to another site than that of the slot."""
        self.lease_ended = False
        """Whether the attempt ended because another node may have the entries now."""
        self._outcomes: dict[int, Outcome] = {}
        self._rendered: dict[bool, Rendered] = {}
        self._asked: set[str] = set()
        """Servers that deferred recipients in this attempt."""
        self._most_recipients: dict[str, int] = {}
        """Recipients of one transaction that a server accepts, as it showed in this attempt."""

    async def run(self, held: HeldSlot) -> None:
        """Deliver with the slot. An unexpected exception ends the attempt. Entries that have their outcome keep it."""
        self.is_elsewhere = False
        with ErrorBoundary(self._observer, self._job.message.queue_id):
            pending = [index for index in range(len(self._job.entries)) if index not in self._outcomes]
            # Transactions, until each entry has its outcome from one of the servers (RFC 5321 section 5.1).
            while pending and not self.lease_ended:
                session = self._pool.idle_session(self._lane_target, held, self._asked)
                session = session or await self._open(held, pending)
                if session is None:
                    return
                try:
                    remaining = await self._transact(held, session, pending)
                except BaseException:
                    session.abort()
                    raise
                if session.is_usable:
                    self._pool.release(self._lane_target, held, session)
                pending = remaining or self._deferred_by(session)

    def outcomes(self, missing: Outcome) -> Sequence[Outcome]:
        """Return one outcome for each entry of the job, in order; `missing` for those that got none.

        None at all if the lease ended before anything was tried.
        """
        if self.lease_ended:
            if not self._outcomes:
                return ()
            missing = Deferred(LEASE_ENDED)
        return [self._outcomes.get(index, missing) for index in range(len(self._job.entries))]

    async def _open(self, held: HeldSlot, pending: list[int]) -> Session | None:
        """Return a session with a server that was not asked yet; None without one, with the outcomes set.

        The reply of a server that was asked counts more than another that is not there.
        """
        opened = await self._pool.session(self._lane_target, held, self._asked)
        if isinstance(opened, Session):
            return opened
        if isinstance(opened, OtherSite):
            self.is_elsewhere = True
        elif opened is not None:
            for index in pending:
                self._outcomes.setdefault(index, opened)
        return None

    def _deferred_by(self, session: Session) -> list[int]:
        """Return the entries that another host of the domain is asked for: those deferred without doubt."""
        if self.lease_ended or not isinstance(self._lane_target.target, Domain):
            return []
        deferred = [
            index
            for index, outcome in self._outcomes.items()
            if isinstance(outcome, Deferred) and outcome.phase in _ASK_NEXT_AFTER and not outcome.uncertain
        ]
        if not deferred or len(self._asked | {session.remote}) >= MAX_HOSTS:
            return []
        self._asked.add(session.remote)
        return deferred

    async def _transact(self, held: HeldSlot, session: Session, pending: list[int]) -> list[int]:
        """Make one transaction. Return the entries for another one at the same server."""
        message, offers = self._job.message, session.offers
        if message.policy.needs_tls and not session.is_encrypted:
            outcome = Deferred(_NEEDS_TLS, session.remote, phase="mail")
            self._outcomes.update(dict.fromkeys(pending, outcome))
            return []
        rendered = self._rendered.get(offers.eight_bit)
        if rendered is None:
            rendered = self._rendered[offers.eight_bit] = await self._job.render(offers.eight_bit)

        deliverable = self._sendable(session, pending, rendered)
        most = self._known_most(session)
        batch, rest = deliverable[: most or MAX_RECIPIENTS], deliverable[most or MAX_RECIPIENTS :]
        if not batch:
            return []
        entries = self._job.entries
        if len(batch) < len(entries):
            entries = tuple(entries[index] for index in batch)

        def on_accepted(accepted: Sequence[int], dot: Reply) -> None:
            outcome = Delivered(dot, session.remote, offers.dsn)
            self._accept(held, [batch[index] for index in accepted], outcome)

        commands = build_commands(message, entries, rendered, offers)
        replies = await session.transact(commands, on_accepted, self._job.is_held)
        if replies.is_delivered_to_all:
            if most:
                self._pool.memory.recipients.set(session.remote, most)
            return rest
        return self._without_all(session, replies, batch, rest)

    def _without_all(
        self, session: Session, replies: TransactionReplies, batch: list[int], rest: list[int]
    ) -> list[int]:
        """Set the outcomes of a batch that was not accepted for all. Return the entries for another transaction."""
        if replies.failure == LEASE_ENDED:
            self.lease_ended = True
            return []
        if replies.is_unanswered and session.transactions > 1:
            # The server had closed the idle connection. A new one is opened for the same entries.
            return batch + rest
        if not replies.dot_sent and self._pool.falls_back(self._lane_target, session, replies):
            return batch + rest

        self._pool.record_replies(session, replies)
        self._outcomes.update(zip(batch, replies.outcomes(len(batch), session.remote, session.offers.dsn), strict=True))
        if replies.most_recipients:
            self._most_recipients[session.remote] = replies.most_recipients
        elif replies.is_delivered and (most := self._known_most(session)):
            self._pool.memory.recipients.set(session.remote, most)
        return [batch[index] for index in replies.next_transaction(len(batch))] + rest

    def _known_most(self, session: Session) -> int | None:
        """Return the recipients of one transaction that the server accepts, None without a known limit."""
        return self._most_recipients.get(session.remote) or self._pool.memory.recipients.get(session.remote)

    def _sendable(self, session: Session, pending: list[int], rendered: Rendered) -> list[int]:
        """Return the entries that this server can accept, and refuse the others; none if the lease ended."""
        if not self._job.is_held():
            self.lease_ended = True
            return []
        fault = message_fault(self._job.message, rendered, session.offers)
        if fault is not None:
            self._outcomes.update(dict.fromkeys(pending, Refused(fault, session.remote)))
            return []
        sendable: list[int] = []
        for index in pending:
            fault = recipient_fault(self._job.entries[index], session.offers)
            if fault is None:
                sendable.append(index)
            else:
                self._outcomes[index] = Refused(fault, session.remote)
        return sendable

    def _accept(self, held: HeldSlot, accepted: Sequence[int], outcome: Delivered) -> None:
        """Record a delivery in the journal, before any other step."""
        numbers = tuple(self._job.entries[index].number for index in accepted)
        self._journal.record(JournalRecord(self._job.message.queue_id, numbers, outcome, self._clock()))
        self._outcomes.update(dict.fromkeys(accepted, outcome))
        self._pool.accepted(held)


class SmtpDelivery:
    """Delivers to mail exchangers and providers.

    `settings` is read at every delivery, so that a reload applies from the next one. `share` returns the part of a
    lane's connections that this node may open. `clock` gives Unix seconds, `steady` monotonic seconds.
    `tokens` are those of providers with OAuth2. With a `receiver`, the one inside the relay, it delivers simulated
    lanes alone; without one it delivers none of them.
    """

    def __init__(
        self,
        settings: Callable[[], Settings],
        resolver: Resolver,
        *,
        journal: DeliveryJournal,
        observer: QueueObserver,
        clock: Clock,
        tls_contexts: TlsContexts | None = None,
        share: Callable[[str, int], int] = full_share,
        steady: Clock = time.monotonic,
        tokens: AccessTokens | None = None,
        receiver: Connect | None = None,
    ) -> None:
        self._settings = settings
        self._resolver = resolver
        self._journal = journal
        self._observer = observer
        self._clock = clock
        self._tls_contexts = tls_contexts or TlsContexts()
        self._next_hops = NextHopResolver(settings(), resolver, self._tls_contexts)
        self._simulates = receiver is not None
        self._pool = Pool(steady, share, tokens, receiver or connect)

    async def deliver(self, lane: str, job: DeliveryJob) -> Sequence[Outcome]:
        """Return one outcome for each entry, in order. Accepted entries are in the journal by then.

        There is none at all if the job was not admitted when its turn came, or its lease ended: nothing was tried.
        """
        target = parse_lane(lane)
        if isinstance(target, Reply):
            return [Refused(target)] * len(job.entries)
        if isinstance(target, BuiltIn) is not self._simulates:
            return [NEVER_MIXED] * len(job.entries)
        lane_target = LaneTarget(lane, target, self._current_next_hops())
        attempt = DeliveryAttempt(
            self._pool, lane_target, job, journal=self._journal, observer=self._observer, clock=self._clock
        )
        for _ in range(MAX_SITES):
            held = await self._pool.acquire_slot(lane_target, job.entries[0].flow, job.message.size)
            try:
                if not job.admit(held.site):
                    return ()
                await attempt.run(held)
            finally:
                self._pool.release_slot(held)
            if attempt.lease_ended or not attempt.is_elsewhere:
                return attempt.outcomes(INTERNAL_ERROR)
        return attempt.outcomes(SITES_DIFFER)

    async def close(self) -> None:
        """Close the idle sessions. Deliveries in flight end by themselves and keep none."""
        await self._pool.close()

    def _current_next_hops(self) -> NextHopResolver:
        """Return the resolver for the settings in force. A reload closes the idle sessions."""
        settings = self._settings()
        if settings is not self._next_hops.settings:
            self._next_hops = NextHopResolver(settings, self._resolver, self._tls_contexts)
            self._pool.close_idle()
        return self._next_hops
