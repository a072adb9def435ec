"""The common interface of both stores: opening, closing, checking, and the parts of a store."""

from abc import ABC, abstractmethod
from contextlib import AsyncExitStack

from relay.limits.ports import LimitStore
from relay.queue.ports import NodeStore
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

    def __init__(self, database: StoreDatabase, lanes: DueLanes, feed: FeedSql) -> None:
        self.database = database
        """Runs operations of callers with their own SQL."""
        self.suppressions = SuppressionTable(database)
        """Implements SuppressionStore."""
        self.unsubscribes = UnsubscribeTable(database)
        """Implements UnsubscribeStore."""
        self.events = EventTable(database, lanes, self.suppressions, self.unsubscribes)
        """Implements EventStore and ReturnedMailStore."""
        self.feed = EventFeedTable(database, feed)
        """Implements EventFeed."""
        self.webhooks = WebhookTable(database)
        """Implements WebhookStore."""
        self.outcomes = OutcomeTable(database)
        """Implements OutcomeStore."""
        self.tallies = TallyTable(database)
        """Implements TallyStore."""
        self.searches = SearchTable(database)
        """Implements SearchStore."""
        self.pauses = PauseTable(database)
        """Implements PauseStore."""
        self.sites = SiteRateTable(database)
        """Implements SiteStore."""
        self.reports = ReportQueries(database)
        """Implements StoryStore, ReportStore and EngagementStore."""
        self.domains = DomainWatchTable(database)
        """Implements DomainWatchStore and BaseUrlStore."""
        self.verifications = VerificationTable(database)
        """Implements VerificationStore."""
        self.link_blocks = LinkBlockTable(database)
        """Implements LinkBlockStore."""
        self.credential_keys = CredentialKeyTable(database)
        """Implements CredentialKeyStore."""
        self.submissions = IdempotencyTable(database)
        """Implements SubmissionStore."""
        self.oauth_tokens = OAuthTokenTable(database)
        """Implements RefreshTokenStore."""
        self.accounts = AccountTable(database)
        """Implements AccountStore."""
        self.sessions = SessionTable(database)
        """Implements SessionStore."""
        self.changes = ChangeTable(database)
        """Implements ChangeStore."""
        self.sent_copies = SentCopyTable(database)
        """Implements SentCopyStore."""
        self.quotas = QuotaTable(database)
        """Implements QuotaStore."""
        self.audits = AuditReader(database, kept_with_messages)
        """Implements AuditStore."""
        self._opened = AsyncExitStack()
        """Closes connections and locks, last opened first."""

    @abstractmethod
    async def check(self) -> None:
        """Return when the store can accept messages; else raise StoreError with the reason."""

    async def close(self) -> None:
        """Complete waiting writes, then close connections and locks. Closing again does nothing."""
        await self._opened.aclose()
