"""Builds the pages of the console from the parts of the relay."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from relay import __version__
from relay.admin.credentials import CredentialRoutes
from relay.admin.identities import IdentityRoutes
from relay.admin.providers import ProviderRoutes
from relay.app.context import AppContext
from relay.app.outbound_parts import OutboundParts
from relay.config.settings import Imap, Provider
from relay.console.bounces import BouncePages
from relay.console.cached import Cached
from relay.console.credentials import CredentialPages
from relay.console.domains import DomainPages
from relay.console.identities import IdentityPages
from relay.console.identity_tests import IdentityTests
from relay.console.layout import Layout
from relay.console.mailbox import MailboxPage
from relay.console.message_list import MessagesPage
from relay.console.message_page import MessagePages
from relay.console.overview import OverviewPage
from relay.console.provider_list import ProviderPages
from relay.console.provider_page import ProviderPage
from relay.console.queue import QueuePages
from relay.console.queue_state import QueueState, queue_state
from relay.console.routes import Pages
from relay.console.suppressions import SuppressionPages
from relay.console.webhook_list import WebhookPages
from relay.console.webhook_page import WebhookPage
from relay.delivery.login_check import LoginAnswer, check_login
from relay.inbound.imap_errors import MailboxError
from relay.inbound.imap_folders import Folders, folders_of
from relay.verification.verifier import Verifier
from relay.webhooks.control import WebhookControl


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleBuilder:
    """Builds the pages. Lists come from the handlers of the admin API."""

    context: AppContext
    outbound: OutboundParts
    identities: IdentityRoutes
    providers: ProviderRoutes
    webhooks: WebhookControl
    verifier: Verifier
    restart_needed: Callable[[], Sequence[str]]
    """Returns the keys of the configuration whose values hold only after a restart."""
    credentials: CredentialRoutes
    mailbox_works: Callable[[Imap], bool | None]
    """Returns whether the last poll of the bounce mailbox succeeded, None if this process has not finished one."""

    async def check_login(self, provider: Provider) -> LoginAnswer:
        """Log in at a provider, and send nothing. Tokens are those of the configuration in force."""
        settings = self.context.settings()
        tokens = self.outbound.oauth if settings.provider(provider.name) == provider else None
        return await check_login(provider, settings, self.outbound.resolver, tokens)

    async def read_folders(self, imap: Imap) -> Folders:
        """Return the folders of a mailbox. Raises MailboxError."""
        if imap.oauth is not None and imap != self.context.settings().bounces.imap:
            raise MailboxError("the mailbox logs in by OAuth2: save its settings before the test")
        return await folders_of(imap, self.outbound.oauth)

    def pages(self) -> Pages:
        """Return the pages."""
        return self.pages_and_queue()[0]

    def pages_and_queue(self) -> tuple[Pages, Cached[QueueState]]:
        """Return the pages, and the state of the queue that they share."""
        queue = queue_state(self.context.store.queue, self.outbound.explainer.sites, self.context.clock)
        layout, settings = self._layout(queue), self.context.settings
        overview = self._overview(layout, queue)
        self.context.stack.push_async_callback(queue.close)
        self.context.stack.push_async_callback(overview.close)
        tests = IdentityTests(self.verifier)
        self.context.stack.push_async_callback(tests.close)
        holds = self.outbound.runner.shared_pauses.holds
        providers = ProviderPages(layout=layout, settings=settings, rows=self.providers.rows, holds=holds)
        webhooks = WebhookPages(layout=layout, control=self.webhooks)
        accounts = self.outbound.oauth.states
        pages = Pages(
            layout=layout,
            overview=overview,
            messages=self._messages(layout, overview),
            message=self._message(layout),
            queue=self._queue(layout, queue),
            bounces=self._bounces(layout),
            domains=self._domains(layout),
            identities=IdentityPages(layout=layout, rows=self.identities.rows, tests=tests, clock=self.context.clock),
            providers=providers,
            provider=ProviderPage(layout=layout, pages=providers, settings=settings, accounts=accounts),
            mailbox=MailboxPage(layout=layout, settings=settings, works=self.mailbox_works),
            suppressions=self._suppressions(layout),
            webhooks=webhooks,
            webhook=WebhookPage(layout=layout, pages=webhooks),
            credentials=CredentialPages(layout=layout, settings=settings, routes=self.credentials),
        )
        return pages, queue

    def _layout(self, queue: Cached[QueueState]) -> Layout:
        async def waiting() -> int:
            return (await queue()).total

        return Layout(
            hostname=lambda: self.context.settings().server.hostname,
            version=__version__,
            clock=self.context.clock,
            waiting=waiting,
            domains=self.outbound.signing.watch.watched,
            pauses=self.outbound.runner.shared_pauses.lanes,
            restart_needed=self.restart_needed,
        )

    def _overview(self, layout: Layout, queue: Cached[QueueState]) -> OverviewPage:
        pauses = self.outbound.runner.shared_pauses
        return OverviewPage(
            layout=layout,
            settings=self.context.settings,
            tallies=self.context.store.tallies,
            queue=queue,
            entries=self.context.store.queue,
            explain=self.outbound.explainer.explain,
            domains=self.outbound.signing.watch.watched,
            lanes=pauses.lanes,
            holds=pauses.holds,
            clock=self.context.clock,
        )

    def _messages(self, layout: Layout, overview: OverviewPage) -> MessagesPage:
        return MessagesPage(
            layout=layout,
            settings=self.context.settings,
            stories=self.context.store.reports,
            searches=self.context.store.searches,
            figures=overview.figures,
            waiting=layout.waiting,
            clock=self.context.clock,
        )

    def _message(self, layout: Layout) -> MessagePages:
        return MessagePages(
            layout=layout,
            stories=self.context.store.reports,
            store=self.context.store.queue,
            explain=self.outbound.explainer.explain,
            keyring=self.outbound.signing.keyring,
            suppressions=self.context.store.suppressions,
            retention=lambda: self.context.settings().queue.retention,
            clock=self.context.clock,
        )

    def _queue(self, layout: Layout, queue: Cached[QueueState]) -> QueuePages:
        return QueuePages(
            layout=layout,
            settings=self.context.settings,
            queue=queue,
            entries=self.context.store.queue,
            explain=self.outbound.explainer.explain,
            lanes=self.outbound.runner.shared_pauses.lanes,
            clock=self.context.clock,
        )

    def _bounces(self, layout: Layout) -> BouncePages:
        return BouncePages(
            layout=layout,
            settings=self.context.settings,
            tallies=self.context.store.tallies,
            reports=self.context.store.reports,
            rules=lambda: self.context.bounce_policy().rules,
            clock=self.context.clock,
        )

    def _domains(self, layout: Layout) -> DomainPages:
        return DomainPages(
            layout=layout,
            settings=self.context.settings,
            tallies=self.context.store.tallies,
            watched=self.outbound.signing.watch.watched,
            clock=self.context.clock,
        )

    def _suppressions(self, layout: Layout) -> SuppressionPages:
        return SuppressionPages(
            layout=layout,
            settings=self.context.settings,
            suppressions=self.context.store.suppressions,
            unsubscribes=self.context.store.unsubscribes,
            clock=self.context.clock,
        )
