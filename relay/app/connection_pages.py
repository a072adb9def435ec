"""Builds the pages of the console that act on providers, the bounce mailbox, webhooks and credentials."""

from relay.admin.webhooks import WebhookRoutes
from relay.app.console import ConsoleBuilder
from relay.console.confirmations import ConfirmationPages
from relay.console.connection_routes import ConnectionPages
from relay.console.credential_actions import CredentialActions
from relay.console.credential_form import CredentialForms
from relay.console.kept_secrets import KeptSecrets
from relay.console.mailbox import MailboxTest
from relay.console.mailbox_form import MailboxActions, MailboxForms
from relay.console.provider_actions import ProviderActions
from relay.console.provider_form import ProviderForms
from relay.console.provider_page import ProviderTests
from relay.console.routes import Pages
from relay.console.table_forms import TableForms
from relay.console.webhook_actions import WebhookActions
from relay.console.webhook_form import WebhookForms
from relay.console.webhook_page import WebhookTest


def connection_pages(
    side: ConsoleBuilder, pages: Pages, confirmations: ConfirmationPages, forms: TableForms
) -> ConnectionPages:
    """Return the pages. `pages` are those that everybody reads."""
    settings, editor = side.context.settings, forms.editor
    pauses, webhooks = side.outbound.operator_pauses, WebhookRoutes(side.webhooks, settings)
    kept = KeptSecrets(lambda: side.outbound.signing.keyring().keys, side.context.clock)
    return ConnectionPages(
        provider_forms=ProviderForms(forms=forms, settings=settings, check=side.check_login, kept=kept),
        mailbox_forms=MailboxForms(forms=forms, settings=settings, read=side.read_folders, kept=kept),
        mailbox=MailboxActions(confirmations=confirmations, editor=editor),
        webhook_forms=WebhookForms(forms=forms, settings=settings, kept=kept),
        credential_forms=CredentialForms(forms=forms, settings=settings),
        providers=ProviderActions(
            confirmations=confirmations, routes=side.providers, pause=pauses.pause, resume=pauses.resume, editor=editor
        ),
        provider_tests=ProviderTests(
            page=pages.provider, routes=side.providers, check=side.check_login, audit=confirmations.audit
        ),
        mailbox_test=MailboxTest(page=pages.mailbox, read=side.read_folders, audit=confirmations.audit),
        webhooks=WebhookActions(confirmations=confirmations, control=side.webhooks, settings=settings, editor=editor),
        webhook_test=WebhookTest(page=pages.webhook, routes=webhooks, audit=confirmations.audit),
        credentials=CredentialActions(confirmations=confirmations, pages=pages.credentials, editor=editor),
    )
