"""The routes on which people act on providers, the bounce mailbox, webhooks and credentials."""

from collections.abc import Sequence
from dataclasses import dataclass

from relay.console.credential_actions import CredentialActions
from relay.console.mailbox import MailboxTest
from relay.console.provider_actions import ProviderActions
from relay.console.provider_page import ProviderTests
from relay.console.roles import Role
from relay.console.route import Route
from relay.console.webhook_actions import WebhookActions
from relay.console.webhook_page import WebhookTest


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectPages:
    """The pages of what the relay is connected to."""

    providers: ProviderActions
    provider_tests: ProviderTests
    mailbox_test: MailboxTest
    webhooks: WebhookActions
    webhook_test: WebhookTest
    credentials: CredentialActions


def connect_routes(pages: ConnectPages) -> Sequence[Route]:
    """Return the table of these routes."""
    return (
        Route("POST", "/providers/actions", pages.providers.post, Role.OPERATOR),
        Route("POST", "/providers/{name}/test", pages.provider_tests.post, Role.OPERATOR),
        Route("POST", "/providers/{name}/mail", pages.provider_tests.mail, Role.OPERATOR),
        Route("POST", "/mailbox/test", pages.mailbox_test.post, Role.OPERATOR),
        Route("POST", "/webhooks/actions", pages.webhooks.post, Role.OPERATOR),
        Route("POST", "/webhooks/{name}/test", pages.webhook_test.post, Role.OPERATOR),
        Route("POST", "/credentials/actions", pages.credentials.post, Role.OWNER),
    )
