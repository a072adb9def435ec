"""The common interface of both stores: opening, closing, checking, and the parts of a store."""

from abc import ABC, abstractmethod
from contextlib import AsyncExitStack

from relay.limits.ports import LimitStore
from relay.queue.node_ports import NodeStore
from relay.storage.accounts import AccountTable
from relay.storage.audit import AuditReader, kept_with_messages
from relay.storage.changes import ChangeTable
from relay.storage.credential_keys import CredentialKeyTable
from relay.storage.domains import DomainWatchTable
from relay.storage.due_lanes import DueLanes
from relay.storage.event_feed import EventFeedTable, FeedSql
from relay.storage.events import EventTable
from relay.storage.idempotency import IdempotencyTable
from relay.storage.identity_outcomes import OutcomeTable
from relay.storage.link_blocks import LinkBlockTable
from relay.storage.oauth import OAuthTokenTable
from relay.storage.operations import StoreDatabase
from relay.storage.pauses import PauseTable
from relay.storage.queue_store import BaseQueueStore
from relay.storage.quotas import QuotaTable
from relay.storage.report_queries import ReportQueries
from relay.storage.search import SearchTable
from relay.storage.sent_copies import SentCopyTable
from relay.storage.sessions import SessionTable
from relay.storage.sites import SiteRateTable
from relay.storage.suppressions import SuppressionTable
from relay.storage.tallies import TallyTable
from relay.storage.unsubscribes import UnsubscribeTable
from relay.storage.verifications import VerificationTable
from relay.storage.webhooks import WebhookTable


class Store(ABC):
    """Base of `SqliteStore` and `PostgresStore`."""

    queue: BaseQueueStore
    """Implements QueueStore and QueueAdminStore."""
    limits: LimitStore
    nodes: NodeStore
    database: StoreDatabase
    """Runs operations of callers with their own SQL."""
    suppressions: SuppressionTable
    """Implements SuppressionStore."""
    unsubscribes: UnsubscribeTable
    """Implements UnsubscribeStore."""
    events: EventTable
    """Implements EventStore and ReturnedMailStore."""
    feed: EventFeedTable
    """Implements EventFeed."""
    webhooks: WebhookTable
    """Implements WebhookStore."""
    outcomes: OutcomeTable
    """Implements OutcomeStore."""
    tallies: TallyTable
    """Implements TallyStore."""
    searches: SearchTable
    """Implements SearchStore."""
    pauses: PauseTable
    """Implements PauseStore."""
    sites: SiteRateTable
    """Implements SiteStore."""
    reports: ReportQueries
    """Implements StoryStore, ReportStore and EngagementStore."""
    domains: DomainWatchTable
    """Implements DomainWatchStore and BaseUrlStore."""
    verifications: VerificationTable
    """Implements VerificationStore."""
    link_blocks: LinkBlockTable
    """Implements LinkBlockStore."""
    credential_keys: CredentialKeyTable
    """Implements CredentialKeyStore."""
    submissions: IdempotencyTable
    """Implements SubmissionStore."""
    oauth_tokens: OAuthTokenTable
    """Implements RefreshTokenStore."""
    accounts: AccountTable
    """Implements AccountStore."""
    sessions: SessionTable
    """Implements SessionStore."""
    changes: ChangeTable
    """Implements ChangeStore."""
    sent_copies: SentCopyTable
    """Implements SentCopyStore."""
    quotas: QuotaTable
    """Implements QuotaStore."""
    audits: AuditReader
    """Implements AuditStore."""

    def __init__(self, database: StoreDatabase, lanes: DueLanes, feed: FeedSql) -> None:
        self.database = database
        self.suppressions = SuppressionTable(database)
        self.unsubscribes = UnsubscribeTable(database)
        self.events = EventTable(database, lanes, self.suppressions, self.unsubscribes)
        self.feed = EventFeedTable(database, feed)
        self.webhooks = WebhookTable(database)
        self.outcomes = OutcomeTable(database)
        self.tallies = TallyTable(database)
        self.searches = SearchTable(database)
        self.pauses = PauseTable(database)
        self.sites = SiteRateTable(database)
        self.reports = ReportQueries(database)
        self.domains = DomainWatchTable(database)
        self.verifications = VerificationTable(database)
        self.link_blocks = LinkBlockTable(database)
        self.credential_keys = CredentialKeyTable(database)
        self.submissions = IdempotencyTable(database)
        self.oauth_tokens = OAuthTokenTable(database)
        self.accounts = AccountTable(database)
        self.sessions = SessionTable(database)
        self.changes = ChangeTable(database)
        self.sent_copies = SentCopyTable(database)
        self.quotas = QuotaTable(database)
        self.audits = AuditReader(database, kept_with_messages)
        self._opened = AsyncExitStack()
        """Closes connections and locks, last opened first."""

    @abstractmethod
    async def check(self) -> None:
        """Return when the store can accept messages; else raise StoreError with the reason."""

    async def close(self) -> None:
        """Complete waiting writes, then close connections and locks. Closing again does nothing."""
        await self._opened.aclose()
