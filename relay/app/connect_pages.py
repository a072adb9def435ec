"""Builds the pages of the console that act on providers, the bounce mailbox, webhooks and credentials."""

from relay.admin.webhooks import WebhookRoutes
from relay.app.console import ConsoleSide
from relay.console.connect_routes import ConnectPages
from relay.console.credential_actions import CredentialActions
from relay.console.mailbox import MailboxTest
from relay.console.plans import PlanPages
from relay.console.provider_actions import ProviderActions
from relay.console.provider_page import ProviderTests
from relay.console.routes import Pages
from relay.console.webhook_actions import WebhookActions
from relay.console.webhook_page import WebhookTest


def connect_pages(side: ConsoleSide, pages: Pages, plans: PlanPages) -> ConnectPages:
    """Return the pages. `pages` are those that everybody reads."""
    pauses, webhooks = side.outbound.operator_pauses, WebhookRoutes(side.webhooks, side.context.settings)
    return ConnectPages(
        providers=ProviderActions(plans=plans, routes=side.providers, pause=pauses.pause, resume=pauses.resume),
        provider_tests=ProviderTests(
            page=pages.provider, routes=side.providers, check=side.check_login, audit=plans.audit
        ),
        mailbox_test=MailboxTest(page=pages.mailbox, read=side.read_folders, audit=plans.audit),
        webhooks=WebhookActions(plans=plans, control=side.webhooks),
        webhook_test=WebhookTest(page=pages.webhook, routes=webhooks, audit=plans.audit),
        credentials=CredentialActions(plans=plans, pages=pages.credentials),
    )
