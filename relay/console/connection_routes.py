"""The routes on which people act on providers, the bounce mailbox, webhooks and credentials."""

from collections.abc import Sequence
from dataclasses import dataclass

from relay.console.credential_actions import CredentialActions
from relay.console.credential_form import CredentialForms
from relay.console.mailbox import MailboxTest
from relay.console.mailbox_form import MailboxActions, MailboxForms
from relay.console.provider_actions import ProviderActions
from relay.console.provider_form import ProviderForms
from relay.console.provider_page import ProviderTests
from relay.console.roles import Role
from relay.console.route import Route
from relay.console.webhook_actions import WebhookActions
from relay.console.webhook_form import WebhookForms
from relay.console.webhook_page import WebhookTest


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionPages:
    """The pages of what the relay is connected to."""

    provider_forms: ProviderForms
    mailbox_forms: MailboxForms
    mailbox: MailboxActions
    webhook_forms: WebhookForms
    credential_forms: CredentialForms
    providers: ProviderActions
    provider_tests: ProviderTests
    mailbox_test: MailboxTest
    webhooks: WebhookActions
    webhook_test: WebhookTest
    credentials: CredentialActions


def connection_routes(pages: ConnectionPages) -> Sequence[Route]:
    """Return the table of these routes."""
    providers, mailbox, webhooks = pages.provider_forms, pages.mailbox_forms, pages.webhook_forms
    credentials = pages.credential_forms
    return (
        Route("GET", "/providers/new", providers.new, Role.OPERATOR),
        Route("POST", "/providers/new", providers.add, Role.OPERATOR),
        Route("GET", "/providers/{name}/edit", providers.edit, Role.OPERATOR),
        Route("POST", "/providers/{name}/edit", providers.change, Role.OPERATOR),
        Route("GET", "/mailbox/edit", mailbox.edit, Role.OPERATOR),
        Route("POST", "/mailbox/edit", mailbox.change, Role.OPERATOR),
        Route("POST", "/mailbox/actions", pages.mailbox.post, Role.OWNER),
        Route("GET", "/webhooks/new", webhooks.new, Role.OPERATOR),
        Route("POST", "/webhooks/new", webhooks.add, Role.OPERATOR),
        Route("GET", "/webhooks/{name}/edit", webhooks.edit, Role.OPERATOR),
        Route("POST", "/webhooks/{name}/edit", webhooks.change, Role.OPERATOR),
        Route("GET", "/credentials/new", credentials.new, Role.OWNER),
        Route("POST", "/credentials/new", credentials.add, Role.OWNER),
        Route("GET", "/credentials/{name}/edit", credentials.edit, Role.OWNER),
        Route("POST", "/credentials/{name}/edit", credentials.change, Role.OWNER),
        Route("POST", "/providers/actions", pages.providers.post, Role.OPERATOR),
        Route("POST", "/providers/{name}/test", pages.provider_tests.post, Role.OPERATOR),
        Route("POST", "/providers/{name}/mail", pages.provider_tests.mail, Role.OPERATOR),
        Route("POST", "/mailbox/test", pages.mailbox_test.post, Role.OPERATOR),
        Route("POST", "/webhooks/actions", pages.webhooks.post, Role.OPERATOR),
        Route("POST", "/webhooks/{name}/test", pages.webhook_test.post, Role.OPERATOR),
        Route("POST", "/credentials/actions", pages.credentials.post, Role.OWNER),
    )
