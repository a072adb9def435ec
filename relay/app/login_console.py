"""Builds the console with a login, on whose pages people act."""

import ssl
from dataclasses import dataclass

from aiohttp import web

from relay.admin.address_lists import SuppressionRoutes, UnsubscribeRoutes
from relay.admin.people import PeopleRoutes
from relay.admin.queue import QueueRoutes
from relay.app.connection_pages import connection_pages
from relay.app.console import ConsoleBuilder
from relay.app.context import AppContext
from relay.console.cached import Cached
from relay.console.confirmations import ConfirmationPages
from relay.console.domain_actions import DomainActions
from relay.console.domain_forms import DomainForms
from relay.console.domain_removal import DomainRemoval
from relay.console.identity_actions import IdentityActions
from relay.console.identity_forms import IdentityForms
from relay.console.list_actions import ListActions
from relay.console.login import LoginPages
from relay.console.login_access import LoginAccess
from relay.console.people import PeoplePages
from relay.console.queue_actions import QueueActions
from relay.console.queue_state import QueueState
from relay.console.routes import ActingPages, Pages, login_application
from relay.console.table_forms import TableForms
from relay.domains.signing_keys import SigningKeys
from relay.people.table_editor import TableEditor


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginConsole:
    """Builds the pages that act, over the handlers of the admin API."""

    context: AppContext
    people: PeopleRoutes
    queue: QueueRoutes
    editor: TableEditor
    signing: SigningKeys

    def application(self, side: ConsoleBuilder) -> web.Application:
        """Return the application: the pages of the other console, and those that act."""
        pages, queue = side.pages_and_queue()
        settings = self.context.settings
        access = LoginAccess(self.people.people, settings().console, lambda: frozenset(settings().identities))
        return login_application(pages, self.pages(pages, queue, side), access)

    def tls(self) -> ssl.SSLContext | None:
        """Return what the console needs for TLS of its own, None without a certificate. Raises OSError."""
        console = self.context.settings().console
        if console.certificate is None:
            return None
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(console.certificate, console.key)
        return tls

    def pages(self, reading: Pages, queue: Cached[QueueState], side: ConsoleBuilder) -> ActingPages:
        """Return the pages."""
        context, store, layout = self.context, self.context.store, reading.layout

        people = self.people.people
        confirmations = ConfirmationPages(
            layout=layout, sessions=store.sessions, audit=people.audit, clock=context.clock
        )
        editor = self.editor
        removal = DomainRemoval(
            confirmations=confirmations, editor=editor, searches=store.searches, settings=context.settings
        )
        forms = TableForms(layout=layout, editor=editor)
        suppressions = SuppressionRoutes(store.suppressions, context.clock)
        unsubscribes = UnsubscribeRoutes(store.unsubscribes, context.settings, context.clock)
        return ActingPages(
            login=LoginPages(layout=layout, people=people, console=lambda: context.settings().console),
            confirmations=confirmations,
            people=PeoplePages(
                layout=layout,
                routes=self.people,
                confirmations=confirmations,
                editor=editor,
            ),
            domain_forms=DomainForms(forms=forms, settings=context.settings),
            domains=DomainActions(
                confirmations=confirmations, signing=self.signing, settings=context.settings, removal=removal
            ),
            identity_forms=IdentityForms(forms=forms, settings=context.settings),
            identities=IdentityActions(
                confirmations=confirmations, pages=reading.identities, editor=editor, settings=context.settings
            ),
            queue=QueueActions(confirmations=confirmations, queue=queue, routes=self.queue),
            suppressions=ListActions(confirmations=confirmations, routes=suppressions, fields=("domain", "reply")),
            unsubscribes=ListActions(confirmations=confirmations, routes=unsubscribes, fields=("domain", "campaign")),
            connect=connection_pages(side, reading, confirmations, forms),
        )
